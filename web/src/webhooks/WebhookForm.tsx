import { zodResolver } from "@hookform/resolvers/zod";
import {
  ActionIcon,
  Alert,
  Box,
  Button,
  Checkbox,
  Group,
  NumberInput,
  PasswordInput,
  SimpleGrid,
  Stack,
  Switch,
  Text,
  TextInput,
} from "@mantine/core";
import { type ReactNode, useRef } from "react";
import { Controller, type FieldPath, useFieldArray, useForm, useWatch } from "react-hook-form";
import { Problem } from "../api/problem";
import { EVENT_KEYS, EVENT_TYPES } from "../api/types";
import { useT } from "../i18n";
import { Icon } from "../ui/Icon";
import { Section } from "../ui/Page";
import { Failure } from "../ui/States";
import { Ltr } from "../ui/Text";
import { useLeaveGuard } from "../ui/useLeaveGuard";
import { urlWarning } from "./checks";
import { RetrySchedule } from "./RetrySchedule";
import { type FormValues, fieldOf, formSchema } from "./schema";

/** A conflict is shown in `extra`; what was typed stays. */
export type Saved = "saved" | "conflict";

type Props = {
  initial: FormValues;
  /** A new webhook may bring a secret of its own. */
  withSecret?: boolean;
  submitLabel: string;
  /** Throws what the server refuses. */
  onSubmit: (values: FormValues) => Promise<Saved>;
  onCancel?: () => void;
  extra?: ReactNode;
};

/** As the first letter that is typed says. */
const ownDirection = { input: { unicodeBidi: "plaintext" as const } };
const ltr = { input: { direction: "ltr" as const } };

export function WebhookForm({ initial, withSecret, submitLabel, onSubmit, onCancel, extra }: Props) {
  const t = useT();
  const form = useForm<FormValues>({ resolver: zodResolver(formSchema), defaultValues: initial, mode: "onTouched" });
  const { register, control, formState } = form;
  const headers = useFieldArray({ control, name: "headers" });
  const url = useWatch({ control, name: "targetUrl" });
  const [maxAttempts, backoffSeconds] = useWatch({ control, name: ["maxAttempts", "backoffSeconds"] });
  const warning = urlWarning(url);
  const dirty = formState.isDirty && !formState.isSubmitting && !formState.isSubmitSuccessful;
  useLeaveGuard({
    when: dirty,
    question: { title: t("form.leave"), text: t("form.leaveDetail"), yes: t("form.leaveYes"), danger: true },
  });

  // The form's own messages are keys; the server's are texts.
  const say = (message: string | undefined) =>
    message?.startsWith("form.") ? t(message as "form.fault.nameMissing") : message;
  const fault = (field: FieldPath<FormValues>) => say(form.getFieldState(field, formState).error?.message);

  const failed = useRef<unknown>(null);

  const submit = form.handleSubmit(async (values) => {
    try {
      if ((await onSubmit(values)) === "conflict") form.setError("root", { type: "conflict" });
    } catch (error) {
      if (error instanceof Problem && error.status === 422 && error.faults.length > 0) {
        for (const { field, message } of error.faults) {
          const place = fieldOf(field);
          form.setError(place, { message: place === "root" ? `${field} ${message}` : message }, { shouldFocus: true });
        }
      } else {
        form.setError("root", { type: "server" });
        failed.current = error;
      }
    }
  });
  const number = (name: "maxAttempts" | "backoffSeconds" | "timeoutSeconds", label: string, suffix?: string) => (
    <Controller
      control={control}
      name={name}
      render={({ field }) => (
        <NumberInput
          label={label}
          suffix={suffix}
          value={Number.isNaN(field.value) ? "" : field.value}
          onChange={(value) => field.onChange(value === "" ? Number.NaN : Number(value))}
          onBlur={field.onBlur}
          ref={field.ref}
          name={field.name}
          min={1}
          clampBehavior="none"
          allowDecimal={false}
          error={fault(name)}
          styles={ltr}
          hideControls
        />
      )}
    />
  );

  return (
    <form onSubmit={submit} noValidate style={{ maxWidth: 880 }}>
      <Section title={t("form.where")}>
        <Stack>
          <TextInput
            label={t("form.name")}
            placeholder={t("form.namePlaceholder")}
            error={fault("name")}
            required
            styles={ownDirection}
            {...register("name")}
          />
          <TextInput
            label={t("form.url")}
            description={t("form.urlHelp")}
            placeholder="https://partner.example/hooks/taskwire"
            type="url"
            inputMode="url"
            required
            styles={ltr}
            error={fault("targetUrl")}
            {...register("targetUrl")}
          />
          {warning ? (
            <Alert color="yellow" variant="light" py="xs" icon={<Icon name="alert" size={16} />} role="status">
              {t(warning)}
            </Alert>
          ) : null}
        </Stack>
      </Section>

      <Section title={t("form.events")} text={t("form.eventsHelp")}>
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm" role="group" aria-label={t("form.events")}>
          {EVENT_TYPES.map((type) => (
            <Checkbox
              key={type}
              label={<Ltr mono>{type}</Ltr>}
              description={t(`event.${type}.what`)}
              {...register(`events.${EVENT_KEYS[type]}`, { onChange: () => form.trigger("events") })}
            />
          ))}
        </SimpleGrid>
        <FaultText text={fault("events")} />
      </Section>

      <Section title={t("form.retries")} text={t("form.retriesHelp")}>
        <SimpleGrid cols={{ base: 1, xs: 3 }}>
          {number("maxAttempts", t("form.maxAttempts"))}
          {number("backoffSeconds", t("form.backoff"), " s")}
          {number("timeoutSeconds", t("form.timeout"), " s")}
        </SimpleGrid>
        <RetrySchedule maxAttempts={maxAttempts} backoffSeconds={backoffSeconds} />
      </Section>

      <Section title={t("form.delivery")}>
        <Stack>
          <Controller
            control={control}
            name="rateLimitPerSecond"
            render={({ field }) => (
              <NumberInput
                label={t("form.rate")}
                description={t("form.rateHelp")}
                placeholder={t("form.rateNone")}
                value={field.value ?? ""}
                onChange={(value) => field.onChange(value === "" ? null : Number(value))}
                onBlur={field.onBlur}
                ref={field.ref}
                name={field.name}
                clampBehavior="none"
                allowDecimal={false}
                hideControls
                maw={260}
                error={fault("rateLimitPerSecond")}
              />
            )}
          />
          <Controller
            control={control}
            name="ordering"
            render={({ field }) => (
              <Switch
                label={t("form.ordering")}
                description={t("form.orderingHelp")}
                checked={field.value === "perTask"}
                onChange={(event) => field.onChange(event.currentTarget.checked ? "perTask" : "none")}
                onBlur={field.onBlur}
                ref={field.ref}
              />
            )}
          />
          <Switch label={t("form.echoes")} description={t("form.echoesHelp")} {...register("skipInboundEchoes")} />
        </Stack>
      </Section>

      <Section title={t("form.headers")} text={t("form.headersHelp")}>
        <Stack gap="xs">
          {headers.fields.map((row, index) => (
            <Group key={row.id} gap="xs" align="flex-start" wrap="nowrap">
              <TextInput
                aria-label={t("form.headerName", { number: index + 1 })}
                placeholder="Authorization"
                flex={2}
                styles={ltr}
                error={fault(`headers.${index}.name`)}
                {...register(`headers.${index}.name`)}
              />
              <TextInput
                aria-label={t("form.headerValue", { number: index + 1 })}
                placeholder="Bearer …"
                flex={3}
                styles={ltr}
                error={fault(`headers.${index}.value`)}
                {...register(`headers.${index}.value`)}
              />
              <ActionIcon
                variant="subtle"
                color="gray"
                size={36}
                aria-label={t("form.headerRemove", { number: index + 1 })}
                onClick={() => headers.remove(index)}
              >
                <Icon name="close" size={16} />
              </ActionIcon>
            </Group>
          ))}
          <FaultText text={fault("headers")} />
          <Box>
            <Button
              variant="default"
              size="xs"
              leftSection={<Icon name="plus" size={14} />}
              onClick={() => headers.append({ name: "", value: "" })}
            >
              {t("form.headerAdd")}
            </Button>
          </Box>
        </Stack>
      </Section>

      {withSecret ? (
        <Section title={t("form.secret")} text={t("form.secretHelp")}>
          <PasswordInput
            label={t("form.secretOwn")}
            placeholder={t("form.secretGenerated")}
            autoComplete="new-password"
            maw={460}
            error={fault("secret")}
            styles={ltr}
            visibilityToggleButtonProps={{ "aria-label": t("form.secretShow") }}
            {...register("secret")}
          />
        </Section>
      ) : null}

      {extra}
      {formState.errors.root && formState.errors.root.type !== "conflict" ? (
        <Box mb="md">
          {formState.errors.root.message ? (
            <Alert color="red">{formState.errors.root.message}</Alert>
          ) : (
            <Failure error={failed.current} retry={submit} />
          )}
        </Box>
      ) : null}
      <Group
        className="surface"
        p="sm"
        justify="flex-end"
        style={{ position: "sticky", bottom: 0, zIndex: 5, boxShadow: "0 -6px 18px rgb(0 0 0 / 5%)" }}
      >
        {formState.isDirty ? (
          <Text size="sm" c="dimmed" me="auto">
            {t("form.unsaved")}
          </Text>
        ) : null}
        {onCancel ? (
          <Button variant="default" onClick={onCancel} disabled={formState.isSubmitting}>
            {t("common.cancel")}
          </Button>
        ) : null}
        <Button type="submit" loading={formState.isSubmitting}>
          {submitLabel}
        </Button>
      </Group>
    </form>
  );
}

/** A fault of several fields together. */
const FaultText = ({ text }: { text: string | undefined }) =>
  text ? (
    <Text size="xs" c="var(--bad)" mt="xs" role="alert">
      {text}
    </Text>
  ) : null;
