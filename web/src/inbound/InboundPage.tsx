import { Box, Group, Tabs, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Versioned } from "../api/calls";
import { queries } from "../api/queries";
import type { Inbound, InboundChange, Receipt } from "../api/types";
import { useGroup } from "../app/group";
import { useT } from "../i18n";
import { readClaims } from "../session/jwt";
import { useSession } from "../session/session";
import { Badge } from "../ui/Badges";
import { Page, Section } from "../ui/Page";
import { Empty, Loaded } from "../ui/States";
import { Ago, Code, Ltr } from "../ui/Text";
import { useSayRotationFailure } from "../webhooks/changes";
import { RotationPanel } from "../webhooks/RotationPanel";
import { SecretOnce } from "../webhooks/SecretOnce";
import { Settings } from "./Settings";
import { SAMPLES, sampleOf } from "./samples";

export function InboundPage() {
  const t = useT();
  const groupId = useGroup();
  const inbound = useQuery(queries.inbound(groupId));
  return (
    <Page title={t("inbound.title")} lead={t("inbound.lead")}>
      <Loaded of={inbound}>{(found) => <Shown key={groupId} groupId={groupId} found={found} />}</Loaded>
    </Page>
  );
}

/** Changes what partners may do, and keeps the secret that a change makes for as long as it is shown. */
function useInboundChange(groupId: string) {
  const client = useQueryClient();
  const [secret, setSecret] = useState<{ text: string; rotated: boolean } | null>(null);
  const change = useMutation({
    mutationFn: ({ body, ifMatch }: { body: InboundChange; ifMatch?: string | null }) =>
      api.changeInbound(groupId, body, ifMatch),
    onSuccess: ({ value, etag }, { body }) => {
      const { secret: text, ...shown } = value;
      if (text) setSecret({ text, rotated: body.rotateSecret === true });
      client.setQueryData(queries.inbound(groupId).queryKey, { value: shown, etag });
    },
  });
  return { change, secret, forget: () => setSecret(null) };
}

function Shown({ groupId, found }: { groupId: string; found: Versioned<Inbound> }) {
  const client = useQueryClient();
  const { change, secret, forget } = useInboundChange(groupId);
  const { value } = found;
  const reload = () => client.fetchQuery({ ...queries.inbound(groupId), staleTime: 0 });
  const sayFailure = useSayRotationFailure(reload);
  const rotate = (body: InboundChange) => change.mutate({ body }, { onError: sayFailure });
  return (
    <>
      <Settings
        found={found}
        busy={change.isPending}
        save={(body, ifMatch) => change.mutateAsync({ body, ifMatch })}
        reload={reload}
      />
      <RotationPanel
        hint={value.secretHint}
        rotation={value.rotation}
        busy={change.isPending}
        onRotate={() => rotate({ rotateSecret: true })}
        onFinalize={() => rotate({ finalizeRotation: true })}
      />
      <Samples groupId={groupId} />
      <Calls groupId={groupId} />
      <SecretOnce
        secret={secret?.text ?? null}
        awaited={change.isPending && (change.variables.body.rotateSecret === true || value.secretHint === null)}
        rotating={secret?.rotated}
        onClose={forget}
      />
    </>
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
