import { zodResolver } from "@hookform/resolvers/zod";
import {
  Alert,
  Box,
  Button,
  Checkbox,
  Group,
  PasswordInput,
  SimpleGrid,
  Stack,
  Switch,
  Text,
  TextInput,
} from "@mantine/core";
import { type ReactNode, useEffect, useEffectEvent, useRef } from "react";
import { Controller, type FieldPath, type UseFormReturn, useForm, useWatch } from "react-hook-form";
import { Problem } from "../api/problem";
import { EVENT_KEYS, EVENT_TYPES } from "../api/types";
import { useT } from "../i18n";
import { Attention } from "../ui/Attention";
import { BusyButton } from "../ui/BusyButton";
import { Icon } from "../ui/Icon";
import { ltrInput } from "../ui/ltrInput";
import { NumberField } from "../ui/NumberField";
import { Section } from "../ui/Page";
import { Failure } from "../ui/States";
import { Ltr } from "../ui/Text";
import { useLeaveGuard } from "../ui/useLeaveGuard";
import { urlWarning } from "./checks";
import { FaultText } from "./FaultText";
import { HeaderFields } from "./HeaderFields";
import { RetrySchedule } from "./RetrySchedule";
import { type FormValues, fieldOf, formSchema } from "./schema";

/** A conflict is shown in `extra`; what was typed stays. */
export type Saved = "saved" | "conflict";

type Props = {
  /** What there is; another is followed. */
  initial: FormValues;
  /** Whether something else than `initial` is entered now. */
  onTouched?: (isTouched: boolean) => void;
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

export function WebhookForm({ initial, onTouched, withSecret, submitLabel, onSubmit, onCancel, extra }: Props) {
  const t = useT();
  const form = useForm<FormValues>({ resolver: zodResolver(formSchema), defaultValues: initial, mode: "onTouched" });
  const { register, control, formState } = form;
  useFollow(form, initial, onTouched);
  const url = useWatch({ control, name: "targetUrl" });
  const [maxAttempts, backoffSeconds] = useWatch({ control, name: ["maxAttempts", "backoffSeconds"] });
  const warning = urlWarning(url.trim());
  const dirty = formState.isDirty && !formState.isSubmitting && !formState.isSubmitSuccessful;
  useLeaveGuard({
    when: dirty,
    question: { title: t("form.leave"), text: t("form.leaveDetail"), yes: t("form.leaveYes"), danger: true },
  });

  // The form's own messages are keys; the server's are texts, in English.
  const say = (message: string | undefined) =>
    message?.startsWith("form.") ? t(message as "form.fault.nameMissing") : message && <Ltr>{message}</Ltr>;
  const fault = (field: FieldPath<FormValues>) => say(form.getFieldState(field, formState).error?.message);

  const failed = useRef<unknown>(null);

  const submit = form.handleSubmit(async (values) => {
    try {
      if ((await onSubmit(values)) === "conflict") form.setError("root", { type: "conflict" });
    } catch (error) {
      if (error instanceof Problem && error.status === 422 && error.faults.length > 0) {
        for (const { field, message } of error.faults) {
          const place = fieldOf(field, values);
          form.setError(place, { message: place === "root" ? `${field} ${message}` : message }, { shouldFocus: true });
        }
      } else {
        form.setError("root", { type: "server" });
        failed.current = error;
      }
    }
  });
  const number = (name: "maxAttempts" | "backoffSeconds" | "timeoutSeconds", label: string) => (
    <Controller
      control={control}
      name={name}
      render={({ field }) => (
        <NumberField
          {...field}
          label={label}
          onChange={(value) => field.onChange(value ?? Number.NaN)}
          error={fault(name)}
          styles={ltrInput}
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
            styles={ltrInput}
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
          {number("backoffSeconds", t("form.backoff"))}
          {number("timeoutSeconds", t("form.timeout"))}
        </SimpleGrid>
        <RetrySchedule maxAttempts={maxAttempts} backoffSeconds={backoffSeconds} />
      </Section>

      <Section title={t("form.delivery")}>
        <Stack>
          <Controller
            control={control}
            name="rateLimitPerSecond"
            render={({ field }) => (
              <NumberField
                {...field}
                label={t("form.rate")}
                description={t("form.rateHelp")}
                placeholder={t("form.rateNone")}
                styles={ltrInput}
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
        <HeaderFields form={form} fault={fault} />
      </Section>

      {withSecret ? (
        <Section title={t("form.secret")} text={t("form.secretHelp")}>
          <PasswordInput
            label={t("form.secretOwn")}
            placeholder={t("form.secretGenerated")}
            autoComplete="new-password"
            maw={460}
            error={fault("secret")}
            styles={ltrInput}
            visibilityToggleButtonProps={{ "aria-label": t("form.secretShow") }}
            {...register("secret")}
          />
        </Section>
      ) : null}

      {extra || formState.errors.root ? (
        <Attention call={formState.errors.root ? formState.submitCount : 0}>
          {extra}
          {formState.errors.root && formState.errors.root.type !== "conflict" ? (
            <Box mb="md">
              {formState.errors.root.message ? (
                <Alert color="red">{say(formState.errors.root.message)}</Alert>
              ) : (
                <Failure error={failed.current} retry={submit} />
              )}
            </Box>
          ) : null}
        </Attention>
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
        <BusyButton type="submit" busy={formState.isSubmitting}>
          {submitLabel}
        </BusyButton>
      </Group>
    </form>
  );
}

/** While nothing is entered the form shows what there is; what was saved counts as what there is. */
function useFollow(form: UseFormReturn<FormValues>, initial: FormValues, onTouched: Props["onTouched"]) {
  const { isDirty, isSubmitSuccessful } = form.formState;
  const touched = useEffectEvent((isTouched: boolean) => onTouched?.(isTouched));
  useEffect(() => touched(isDirty), [isDirty]);
  const shown = useRef(JSON.stringify(initial));
  useEffect(() => {
    const now = JSON.stringify(initial);
    if (now === shown.current) return;
    shown.current = now;
    form.reset(initial);
  }, [form, initial]);
  useEffect(() => {
    if (isSubmitSuccessful) form.reset(form.getValues());
  }, [form, isSubmitSuccessful]);
}
