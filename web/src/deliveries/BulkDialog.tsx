import {
  Alert,
  Button,
  Group,
  Modal,
  MultiSelect,
  NativeSelect,
  Progress,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api } from "../api/calls";
import { queries } from "../api/queries";
import { EVENT_TYPES, type EventType, type Selection, type Started, type Webhook } from "../api/types";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { Icon } from "../ui/Icon";
import { Failure } from "../ui/States";
import { useOnce } from "../ui/useOnce";
import { useSayFailure } from "../webhooks/changes";
import { fromLocalInput, sinceOf, toLocalInput } from "./filter";

export type BulkKind = "replay" | "backfill";
type Props = { kind: BulkKind; webhook: Webhook; onClose: () => void };

/** Many deliveries at once: first how many it would be, then the deed, then how far it is. */
export function BulkDialog({ kind, webhook, onClose }: Props) {
  const t = useT();
  const client = useQueryClient();
  const { task } = useSearch({ from: "/webhooks/$webhookId" });
  const initial = useInitial(kind, webhook);
  const [selection, setSelection] = useState<Selection>(initial);
  const [started, setStarted] = useState<Started | null>(null);
  // The times of a backfill are asked for before it can be sent.
  const send = ({ status, since = "", ...rest }: Selection) =>
    kind === "replay"
      ? api.replayMany(webhook.id, { ...rest, status, since: since || undefined })
      : api.backfill(webhook.id, { ...rest, since });
  const count = useMutation({ mutationFn: () => send({ ...selection, dryRun: true }) });
  const start = useMutation({
    mutationFn: () => send(selection),
    onSuccess: (answer) => {
      setStarted(answer);
      void client.invalidateQueries({ queryKey: ["deliveries", webhook.id] });
    },
  });
  const begin = useOnce(start);
  const change = (part: Partial<Selection>) => {
    setSelection((before) => ({ ...before, ...part }));
    count.reset();
    start.reset();
  };
  const found = count.data?.count;
  const error = start.error ?? count.error;

  return (
    <Modal
      opened
      onClose={onClose}
      title={t(`bulk.${kind}.title`)}
      size="lg"
      closeButtonProps={{ "aria-label": t("common.close") }}
    >
      <Stack>
        <Text size="sm" c="dimmed">
          {t(`bulk.${kind}.text`)}
        </Text>
        {started ? (
          <Progression webhook={webhook} started={started} onClose={onClose} />
        ) : (
          <>
            <Fields kind={kind} selection={selection} onChange={change} />
            {kind === "replay" && task !== undefined ? (
              <Alert color="yellow" icon={<Icon name="alert" />}>
                {t("bulk.replay.everyTask")}
              </Alert>
            ) : null}
            {error ? <Failure error={error} /> : null}
            {found === undefined ? null : (
              <Alert color={found === 0 ? "gray" : "wire"} role="status" icon={<Icon name="list" />}>
                {t(`bulk.${kind}.count`, { count: found })}
              </Alert>
            )}
            <Group justify="flex-end">
              <Button variant="default" onClick={onClose}>
                {t("common.cancel")}
              </Button>
              {found ? (
                <Button onClick={() => begin()} loading={start.isPending}>
                  {t(`bulk.${kind}.go`, { count: found })}
                </Button>
              ) : (
                <Button
                  onClick={() => count.mutate()}
                  loading={count.isPending}
                  disabled={kind === "backfill" && selection.since === undefined}
                >
                  {t("bulk.count")}
                </Button>
              )}
            </Group>
          </>
        )}
      </Stack>
    </Modal>
  );
}

/** A replay begins with the list's filter; a backfill with the time that was missed. */
function useInitial(kind: BulkKind, webhook: Webhook): Selection {
  const search = useSearch({ from: "/webhooks/$webhookId" });
  if (kind === "backfill") {
    const day = new Date(Date.now() - 86_400_000).toISOString();
    return { since: webhook.missed?.since ?? day, until: webhook.missed?.until };
  }
  return {
    status: search.status === "delivered" ? "delivered" : "dead-letter",
    eventTypes: search.eventType ? [search.eventType] : undefined,
    since: sinceOf(search.since),
    until: search.until,
  };
}

/** Open deliveries are going to be tried anyway. */
const FINISHED = ["dead-letter", "delivered"] as const;

type FieldsProps = { kind: BulkKind; selection: Selection; onChange: (part: Partial<Selection>) => void };

function Fields({ kind, selection, onChange }: FieldsProps) {
  const t = useT();
  return (
    <>
      {kind === "replay" ? (
        <NativeSelect
          label={t("deliveries.column.status")}
          value={selection.status}
          onChange={(event) => onChange({ status: event.currentTarget.value as Selection["status"] })}
          data={FINISHED.map((value) => ({ value, label: t(`deliveries.status.${value}`) }))}
        />
      ) : null}
      <Group grow align="flex-start">
        <TextInput
          type="datetime-local"
          label={t("time.since")}
          required={kind === "backfill"}
          value={toLocalInput(selection.since)}
          onChange={(event) => onChange({ since: fromLocalInput(event.currentTarget.value) })}
        />
        <TextInput
          type="datetime-local"
          label={t("time.until")}
          description={selection.until ? undefined : t("time.untilNow")}
          inputWrapperOrder={["label", "input", "description", "error"]}
          value={toLocalInput(selection.until)}
          onChange={(event) => onChange({ until: fromLocalInput(event.currentTarget.value) })}
        />
      </Group>
      <MultiSelect
        label={t("bulk.events")}
        placeholder={selection.eventTypes?.length ? undefined : t("bulk.allEvents")}
        data={[...EVENT_TYPES]}
        value={selection.eventTypes ?? []}
        onChange={(types) => onChange({ eventTypes: types.length > 0 ? (types as EventType[]) : undefined })}
        clearable
      />
    </>
  );
}

function Progression({ webhook, started, onClose }: { webhook: Webhook; started: Started; onClose: () => void }) {
  const t = useT();
  const format = useFormat();
  const client = useQueryClient();
  const sayFailure = useSayFailure();
  const id = started.replayId ?? "";
  const replay = useQuery({ ...queries.replay(webhook.id, id), enabled: id !== "" });
  const cancel = useMutation({
    mutationFn: () => api.cancelReplay(webhook.id, id),
    onError: sayFailure,
    onSettled: () => client.invalidateQueries({ queryKey: ["replay", webhook.id, id] }),
  });
  const { data } = replay;
  const ended = data !== undefined && data.status !== "running";
  useEffect(() => {
    if (ended) void client.invalidateQueries({ queryKey: ["deliveries", webhook.id] });
  }, [ended, client, webhook.id]);
  const over = data ? data.done + data.skipped : 0;
  const running = data?.status === "running";
  return (
    <>
      {data ? (
        <>
          <Progress
            value={data.total === 0 ? 100 : (over / data.total) * 100}
            color={data.status === "failed" ? "red" : undefined}
            animated={running}
            aria-label={t("bulk.progress")}
            size="lg"
          />
          <Text size="sm" role="status">
            {t(`bulk.status.${data.status}`, {
              done: format.number(data.done),
              total: format.number(data.total),
              skipped: format.number(data.skipped),
            })}
          </Text>
        </>
      ) : replay.error ? (
        <Failure error={replay.error} retry={() => replay.refetch()} />
      ) : (
        <Text size="sm" role="status">
          {t("bulk.started", { count: started.count })}
        </Text>
      )}
      <Group justify="flex-end">
        {running ? (
          <Button variant="default" onClick={() => cancel.mutate()} loading={cancel.isPending}>
            {t("bulk.cancel")}
          </Button>
        ) : null}
        <Button onClick={onClose}>{t("common.close")}</Button>
      </Group>
    </>
  );
}
