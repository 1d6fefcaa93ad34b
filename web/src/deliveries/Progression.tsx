import { Box, Button, Group, Progress, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api } from "../api/calls";
import { queries } from "../api/queries";
import type { Replay, Started, Webhook } from "../api/types";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { BusyButton } from "../ui/BusyButton";
import { Failure } from "../ui/States";
import { useSayFailure } from "../webhooks/changes";

/** How far what was begun in the dialog is. */
export function Progression({
  webhook,
  started,
  onClose,
}: {
  webhook: Webhook;
  started: Started;
  onClose: () => void;
}) {
  const t = useT();
  const format = useFormat();
  const id = started.replayId ?? "";
  const replay = useQuery({ ...queries.replay(webhook.id, id), enabled: id !== "" });
  const { data } = replay;
  useDeliveriesAfter(data);
  return (
    <>
      {data ? (
        <Box role="status">
          <HowFar replay={data} />
        </Box>
      ) : replay.error ? (
        <Failure error={replay.error} retry={() => replay.refetch()} />
      ) : (
        <Text size="sm" role="status">
          {t("bulk.started", { count: started.count, number: format.number(started.count) })}
        </Text>
      )}
      <Group justify="flex-end">
        {data?.status === "running" ? <Stop replay={data} /> : null}
        <Button onClick={onClose}>{t("common.close")}</Button>
      </Group>
    </>
  );
}

/** What runs on this webhook, whoever began it and in whichever window; once it has ended, how. */
export function Running({ webhook }: { webhook: Webhook }) {
  const t = useT();
  const { data } = useQuery(queries.replays(webhook.id));
  const [followed, setFollowed] = useState<string>();
  const running = data?.items.find(({ status }) => status === "running");
  if (running && running.id !== followed) setFollowed(running.id);
  const replay = data?.items.find(({ id }) => id === followed);
  useDeliveriesAfter(replay);
  if (!replay) return null;
  const title = t(`bulk.${replay.kind}.title`);
  return (
    <Box component="section" className="surface" aria-label={title} p="md" mb="md">
      <Group justify="space-between" mb="xs" mih={30}>
        <Text fw={600}>{title}</Text>
        {replay.status === "running" ? <Stop replay={replay} /> : null}
      </Group>
      <HowFar replay={replay} />
    </Box>
  );
}

/** The list of deliveries is loaded again once a replay has ended. */
function useDeliveriesAfter(replay: Replay | undefined) {
  const client = useQueryClient();
  const ended = replay !== undefined && replay.status !== "running";
  const webhookId = replay?.webhookId;
  useEffect(() => {
    if (ended) void client.invalidateQueries({ queryKey: ["deliveries", webhookId] });
  }, [ended, client, webhookId]);
}

function HowFar({ replay }: { replay: Replay }) {
  const t = useT();
  const format = useFormat();
  const { status, total, done, skipped } = replay;
  return (
    <>
      <Progress
        value={total === 0 ? 100 : ((done + skipped) / total) * 100}
        color={status === "failed" ? "red" : undefined}
        animated={status === "running"}
        aria-label={t("bulk.progress")}
        size="lg"
        mb="xs"
      />
      <Text size="sm">
        {t(`bulk.status.${status}`, {
          done: format.number(done),
          total: format.number(total),
          skipped: format.number(skipped),
        })}
      </Text>
      {skipped > 0 ? (
        <Text size="xs" c="dimmed">
          {t("bulk.leftOut")}
        </Text>
      ) : null}
    </>
  );
}

function Stop({ replay: { webhookId, id } }: { replay: Replay }) {
  const t = useT();
  const client = useQueryClient();
  const sayFailure = useSayFailure();
  const cancel = useMutation({
    mutationFn: () => api.cancelReplay(webhookId, id),
    onError: sayFailure,
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["replay", webhookId, id] });
      void client.invalidateQueries({ queryKey: ["replays", webhookId] });
    },
  });
  return (
    <BusyButton size="xs" variant="default" onClick={() => cancel.mutate()} busy={cancel.isPending}>
      {t("bulk.cancel")}
    </BusyButton>
  );
}
