import { Alert, Box, Button, Checkbox, Group, NumberInput, Stack, Switch, Tabs, TagsInput, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api } from "../api/calls";
import { queries } from "../api/queries";
import { type Inbound, type InboundChange, type Receipt, SCOPES, type Scope } from "../api/types";
import { useGroup } from "../app/group";
import { useT } from "../i18n";
import { readClaims } from "../session/jwt";
import { useSession } from "../session/session";
import { Badge } from "../ui/Badges";
import { Page, Section } from "../ui/Page";
import { Empty, Loaded } from "../ui/States";
import { Ago, Code, Ltr } from "../ui/Text";
import { useLeaveGuard } from "../ui/useLeaveGuard";
import { useSayFailure } from "../webhooks/changes";
import { RotationPanel } from "../webhooks/RotationPanel";
import { SecretOnce } from "../webhooks/SecretOnce";
import { faultyNetworks } from "./networks";
import { SAMPLES, sampleOf } from "./samples";

export function InboundPage() {
  const t = useT();
  const groupId = useGroup();
  const inbound = useQuery(queries.inbound(groupId));
  return (
    <Page title={t("inbound.title")} lead={t("inbound.lead")}>
      <Loaded of={inbound}>{(value) => <Shown key={groupId} groupId={groupId} value={value} />}</Loaded>
    </Page>
  );
}

function Shown({ groupId, value }: { groupId: string; value: Inbound }) {
  const client = useQueryClient();
  const sayFailure = useSayFailure();
  const [secret, setSecret] = useState<{ text: string; rotated: boolean } | null>(null);
  const change = useMutation({
    mutationFn: (body: InboundChange) => api.changeInbound(groupId, body),
    onError: sayFailure,
    onSuccess: (changed, body) => {
      const { secret: text, ...shown } = changed;
      if (text) setSecret({ text, rotated: body.rotateSecret === true });
      client.setQueryData(["inbound", groupId], shown);
    },
  });
  return (
    <>
      <Settings value={value} busy={change.isPending} onSave={(body) => change.mutateAsync(body)} />
      <RotationPanel
        hint={value.secretHint}
        rotation={value.rotation}
        busy={change.isPending}
        onRotate={() => change.mutate({ rotateSecret: true })}
        onFinalize={() => change.mutate({ finalizeRotation: true })}
      />
      <Samples groupId={groupId} />
      <Calls groupId={groupId} />
      <SecretOnce
        secret={secret?.text ?? null}
        awaited={change.isPending && (change.variables.rotateSecret === true || value.secretHint === null)}
        rotating={secret?.rotated}
        onClose={() => setSecret(null)}
      />
    </>
  );
}

type Editable = Required<Pick<InboundChange, "enabled" | "scopes" | "ipAllowlist" | "rateLimitPerMinute">>;
const changedOf = (before: Editable, after: Editable): Partial<Editable> =>
  Object.fromEntries(
    Object.entries(after).filter(
      ([field, to]) => JSON.stringify(to) !== JSON.stringify(before[field as keyof Editable]),
    ),
  );

type SettingsProps = { value: Inbound; busy: boolean; onSave: (change: InboundChange) => Promise<unknown> };

function Settings({ value, busy, onSave }: SettingsProps) {
  const t = useT();
  const [begun, setBegun] = useState<Editable>(value);
  const [enabled, setEnabled] = useState(value.enabled);
  const [scopes, setScopes] = useState<Scope[]>(value.scopes);
  const [networks, setNetworks] = useState(value.ipAllowlist);
  const [rate, setRate] = useState<number | string>(value.rateLimitPerMinute);
  const isChanged =
    Object.keys(changedOf(begun, { enabled, scopes, ipAllowlist: networks, rateLimitPerMinute: Number(rate) })).length >
    0;
  useLeaveGuard({
    when: isChanged && !busy,
    question: { title: t("form.leave"), text: t("form.leaveDetail"), yes: t("form.leaveYes"), danger: true },
  });
  const wrong = faultyNetworks(networks);
  const rateFault = rate === "" || !Number.isInteger(rate) || Number(rate) < 1 ? t("inbound.rateFault") : null;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (wrong.length > 0 || rateFault) return;
    const all = { enabled, scopes, ipAllowlist: networks, rateLimitPerMinute: Number(rate) };
    try {
      // Only what was changed, so that another admin's changes stay; all of it where there is nothing yet.
      await onSave(value.secretHint === null ? all : changedOf(begun, all));
      setBegun(all);
      notifications.show({ color: "teal", message: t("form.saved") });
    } catch {
      // Said where the call is made; what was typed stays.
    }
  };
  return (
    <form onSubmit={submit}>
      <Section title={t("inbound.settings")} text={t("inbound.settingsText")}>
        <Stack>
          <Switch
            label={t("inbound.enabled")}
            description={t("inbound.enabledHelp")}
            checked={enabled}
            onChange={(event) => setEnabled(event.currentTarget.checked)}
          />
          <Checkbox.Group
            label={t("inbound.scopes")}
            value={scopes}
            onChange={(chosen) => setScopes(chosen as Scope[])}
            error={enabled && scopes.length === 0 ? t("inbound.noScope") : undefined}
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
            placeholder={networks.length === 0 ? "203.0.113.0/24" : undefined}
            value={networks}
            onChange={setNetworks}
            error={wrong.length > 0 ? t("inbound.networkFault", { networks: wrong.join(", ") }) : undefined}
            styles={{ input: { direction: "ltr" } }}
          />
          <NumberInput
            label={t("inbound.rate")}
            value={rate}
            onChange={setRate}
            min={1}
            allowDecimal={false}
            clampBehavior="none"
            hideControls
            maw={220}
            error={rateFault}
          />
          {value.secretHint === null ? (
            <Alert color="wire" variant="light">
              {t("inbound.first")}
            </Alert>
          ) : null}
          <Group justify="flex-end">
            {isChanged ? (
              <Text size="sm" c="dimmed" me="auto">
                {t("form.unsaved")}
              </Text>
            ) : null}
            <Button type="submit" loading={busy}>
              {t("form.save")}
            </Button>
          </Group>
        </Stack>
      </Section>
    </form>
  );
}

/** To the day, so that the samples do not change while they are read. */
const nextWeek = () => `${new Date(Date.now() + 7 * 86_400_000).toISOString().slice(0, 10)}T09:00:00Z`;

function Samples({ groupId }: { groupId: string }) {
  const t = useT();
  const { token } = useSession();
  const filled = {
    url: `${window.location.origin}/api/integrations/inbound/${groupId}/tasks`,
    user: readClaims(token ?? "")?.sub ?? "<user id>",
    due: nextWeek(),
  };
  return (
    <Section title={t("inbound.samples")} text={t("inbound.samplesText")}>
      <Tabs defaultValue={SAMPLES[0]} variant="outline">
        <Tabs.List>
          {SAMPLES.map((sample) => (
            <Tabs.Tab key={sample} value={sample}>
              <Ltr>{sample}</Ltr>
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {SAMPLES.map((sample) => (
          <Tabs.Panel key={sample} value={sample} pt="sm">
            <Code text={sampleOf(sample, filled)} label={sample} />
          </Tabs.Panel>
        ))}
      </Tabs>
    </Section>
  );
}

function Calls({ groupId }: { groupId: string }) {
  const t = useT();
  const receipts = useQuery(queries.receipts(groupId));
  return (
    <Section title={t("inbound.calls")} text={t("inbound.callsText")}>
      <Loaded of={receipts} rows={3}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon="inbox" title={t("inbound.noCalls")} text={t("inbound.noCallsDetail")} />
          ) : (
            <div>
              {items.map((receipt) => (
                <Call key={receipt.id} receipt={receipt} />
              ))}
            </div>
          )
        }
      </Loaded>
    </Section>
  );
}

function Call({ receipt }: { receipt: Receipt }) {
  const t = useT();
  const counts = (["created", "updated", "unchanged"] as const)
    .map((outcome) => [outcome, receipt[outcome]] as const)
    .filter(([, count]) => count > 0);
  return (
    <Group gap="md" py={10} style={{ borderTop: "1px solid var(--line)" }}>
      <Badge tone={receipt.status < 300 ? "ok" : "bad"}>{receipt.status}</Badge>
      <Text size="sm" fw={550}>
        {t(`inbound.kind.${receipt.kind}`)}
      </Text>
      <Text size="sm">{counts.map(([outcome, count]) => t(`inbound.outcome.${outcome}`, { count })).join(", ")}</Text>
      <Box ms="auto">
        <Text size="sm" c="dimmed" component="span">
          <Ago at={receipt.at} />
        </Text>
      </Box>
    </Group>
  );
}
