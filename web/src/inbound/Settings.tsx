import { Alert, Checkbox, Group, Stack, Switch, TagsInput, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { type FormEvent, useState } from "react";
import type { Versioned } from "../api/calls";
import { type FieldFault, isStatus } from "../api/problem";
import { type Inbound, type InboundChange, SCOPES } from "../api/types";
import { useT } from "../i18n";
import { Attention } from "../ui/Attention";
import { BusyButton } from "../ui/BusyButton";
import { ConflictNotice } from "../ui/ConflictNotice";
import { ltrInput } from "../ui/ltrInput";
import { NumberField } from "../ui/NumberField";
import { Section } from "../ui/Page";
import { Ltr } from "../ui/Text";
import { useLeaveGuard } from "../ui/useLeaveGuard";
import { useSayFailure } from "../webhooks/changes";
import { changeOf, conflicts, differences, FIELDS, type Field, type Fields, fieldsOf, isFaultyRate } from "./edit";
import { faultyNetworks } from "./networks";

type Props = {
  found: Versioned<Inbound>;
  busy: boolean;
  /** Throws what the server refuses. */
  save: (change: InboundChange, ifMatch: string | null) => Promise<unknown>;
  reload: () => Promise<Versioned<Inbound>>;
};

/** What is entered, and the version it was begun with. */
type Edit = { from: Fields; to: Fields };

/** Untouched, it shows what the server has; touched, what is entered, and what somebody else changed meanwhile. */
function useSettings({ found, busy, save, reload }: Props) {
  const t = useT();
  const sayFailure = useSayFailure();
  const [edit, setEdit] = useState<Edit | null>(null);
  const [refused, setRefused] = useState<FieldFault[]>([]);
  const [call, setCall] = useState(0);
  const theirs = fieldsOf(found.value);
  const { from, to } = edit ?? { from: theirs, to: theirs };
  const isChanged = differences(from, to).length > 0;
  useLeaveGuard({
    when: isChanged && !busy,
    question: { title: t("form.leave"), text: t("form.leaveDetail"), yes: t("form.leaveYes"), danger: true },
  });

  const end = () => {
    setEdit(null);
    setRefused([]);
    setCall(0);
  };
  const put = (part: Partial<Fields>) => {
    const next = { from, to: { ...to, ...part } };
    setRefused([]);
    if (differences(next.from, next.to).length > 0) setEdit(next);
    else end();
  };
  const send = async ({ value, etag }: Versioned<Inbound>) => {
    // Only what was changed, so that another admin's changes stay; all of it where there is nothing yet.
    await save(changeOf(to, value.secretHint === null ? FIELDS : differences(from, to)), etag);
    end();
    notifications.show({ color: "teal", message: t("form.saved") });
  };
  const sendAgain = async () => {
    const now = await reload();
    // A rotation is a new version too, and changes nothing of this form.
    if (conflicts(from, to, fieldsOf(now.value)).length === 0) await send(now);
    else setCall((before) => before + 1);
  };
  const submit = async () => {
    setEdit({ from, to });
    try {
      await send(found).catch((error) => {
        if (!isStatus(error, 412)) throw error;
        return sendAgain();
      });
    } catch (error) {
      if (isStatus(error, 422) && error.faults.length > 0) setRefused(error.faults);
      else sayFailure(error);
    }
  };
  return { from, to, theirs, isChanged, refused, call, put, submit, takeTheirs: end };
}

export function Settings(props: Props) {
  const t = useT();
  const { from, to, theirs, isChanged, refused, call, put, submit, takeTheirs } = useSettings(props);
  const isFirst = props.found.value.secretHint === null;
  const wrong = faultyNetworks(to.ipAllowlist);
  const isRateWrong = isFaultyRate(to.rateLimitPerMinute);
  const clashing = conflicts(from, to, theirs);
  const faultOf = (field: Field) => {
    const messages = refused.filter((one) => one.field.startsWith(field)).map(({ message }) => message);
    return messages.length > 0 ? <Ltr>{messages.join("; ")}</Ltr> : undefined;
  };
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (wrong.length === 0 && !isRateWrong) void submit();
    else event.currentTarget.querySelector<HTMLElement>('input[aria-invalid="true"]')?.focus();
  };
  return (
    <form onSubmit={onSubmit}>
      <Section title={t("inbound.settings")} text={t("inbound.settingsText")}>
        <Stack>
          <Switch
            label={t("inbound.enabled")}
            description={t("inbound.enabledHelp")}
            checked={to.enabled}
            onChange={(event) => put({ enabled: event.currentTarget.checked })}
          />
          <Checkbox.Group
            label={t("inbound.scopes")}
            value={to.scopes}
            onChange={(chosen) => put({ scopes: SCOPES.filter((scope) => chosen.includes(scope)) })}
            error={to.enabled && to.scopes.length === 0 ? t("inbound.noScope") : faultOf("scopes")}
          >
            <Stack gap={8} mt={8}>
              {SCOPES.map((scope) => (
                <Checkbox
                  key={scope}
                  value={scope}
                  label={<Ltr mono>{scope}</Ltr>}
                  description={t(`inbound.scope.${scope.replace(":", "_") as "tasks_write"}`)}
                />
              ))}
            </Stack>
          </Checkbox.Group>
          <TagsInput
            label={t("inbound.networks")}
            description={t("inbound.networksHelp")}
            placeholder={to.ipAllowlist.length === 0 ? "203.0.113.0/24" : undefined}
            value={to.ipAllowlist}
            onChange={(ipAllowlist) => put({ ipAllowlist })}
            splitChars={[",", ";", " ", "\t", "\n", "\r"]}
            error={
              wrong.length > 0 ? t("inbound.networkFault", { networks: wrong.join(", ") }) : faultOf("ipAllowlist")
            }
            styles={ltrInput}
          />
          <NumberField
            label={t("inbound.rate")}
            value={to.rateLimitPerMinute}
            onChange={(rateLimitPerMinute) => put({ rateLimitPerMinute })}
            styles={ltrInput}
            maw={220}
            error={isRateWrong ? t("inbound.rateFault") : faultOf("rateLimitPerMinute")}
          />
          {isFirst ? (
            <Alert color="wire" variant="light">
              {t("inbound.first")}
            </Alert>
          ) : null}
          {clashing.length > 0 ? (
            <Attention call={call}>
              <Meanwhile clashing={clashing} from={from} to={to} theirs={theirs} onTheirs={takeTheirs} />
            </Attention>
          ) : null}
          <Group justify="flex-end">
            {isChanged ? (
              <Text size="sm" c="dimmed" me="auto">
                {t("form.unsaved")}
              </Text>
            ) : null}
            <BusyButton type="submit" busy={props.busy}>
              {t("form.save")}
            </BusyButton>
          </Group>
        </Stack>
      </Section>
    </form>
  );
}

type MeanwhileProps = Edit & { clashing: Field[]; theirs: Fields; onTheirs: () => void };

function Meanwhile({ clashing, from, to, theirs, onTheirs }: MeanwhileProps) {
  const t = useT();
  const names = { enabled: "enabled", scopes: "scopes", ipAllowlist: "networks", rateLimitPerMinute: "rate" } as const;
  const mine = differences(from, to);
  const show = (fields: Fields, field: Field) => {
    const value = fields[field];
    if (typeof value === "boolean") return t(value ? "inbound.on" : "inbound.off");
    return <Ltr>{Array.isArray(value) ? value.join(", ") || "–" : value}</Ltr>;
  };
  return (
    <ConflictNotice
      title={t("conflict.settings")}
      differences={clashing.map((field) => ({
        field,
        name: t(`inbound.${names[field]}`),
        before: show(from, field),
        theirs: show(theirs, field),
        mine: mine.includes(field) ? show(to, field) : null,
      }))}
      onTheirs={onTheirs}
    />
  );
}
