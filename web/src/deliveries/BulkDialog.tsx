import { Alert, Button, Group, Modal, MultiSelect, NativeSelect, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/calls";
import { EVENT_TYPES, type EventType, type Selection, type Started, type Webhook } from "../api/types";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { BusyButton } from "../ui/BusyButton";
import { Icon } from "../ui/Icon";
import { Failure } from "../ui/States";
import { useIntent } from "../ui/useIntent";
import { useOnce } from "../ui/useOnce";
import { fromLocalInput, sinceOf, toLocalInput } from "./filter";
import { Progression } from "./Progression";

export type BulkKind = "replay" | "backfill";
type Props = { kind: BulkKind; webhook: Webhook; onClose: () => void };

/**
 * Many deliveries at once. It is there while it is closed too: so it knows where the keyboard was before it opened. The
 * `nth` opening begins anew.
 */
export function BulkDialog({ opened, nth, ...props }: Props & { opened: boolean; nth: number }) {
  const t = useT();
  return (
    <Modal
      opened={opened}
      onClose={props.onClose}
      title={t(`bulk.${props.kind}.title`)}
      size="lg"
      closeButtonProps={{ "aria-label": t("common.close") }}
    >
      <Bulk key={nth} {...props} />
    </Modal>
  );
}

/** First how many it would be, then the deed, then how far it is. */
function Bulk({ kind, webhook, onClose }: Props) {
  const t = useT();
  const format = useFormat();
  const client = useQueryClient();
  const { task } = useSearch({ from: "/webhooks/$webhookId" });
  const intent = useIntent();
  const initial = useInitial(kind, webhook);
  const [selection, setSelection] = useState<Selection>(initial);
  const [started, setStarted] = useState<Started | null>(null);
  // The times of a backfill are asked for before it can be sent.
  const send = ({ status, since = "", ...rest }: Selection, key?: string) =>
    kind === "replay"
      ? api.replayMany(webhook.id, { ...rest, status, since: since || undefined }, key)
      : api.backfill(webhook.id, { ...rest, since }, key);
  const count = useMutation({ mutationFn: () => send({ ...selection, dryRun: true }) });
  const start = useMutation({
    mutationFn: () => intent(selection, (key) => send(selection, key)),
    onSuccess: (answer) => {
      setStarted(answer);
      void client.invalidateQueries({ queryKey: ["replays", webhook.id] });
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
  const number = (count: number) => ({ count, number: format.number(count) });
  const error = start.error ?? count.error;

  return (
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
              {t(`bulk.${kind}.count`, number(found))}
            </Alert>
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t("common.cancel")}
            </Button>
            <BusyButton
              busy={count.isPending || start.isPending}
              onClick={() => (found ? begin() : count.mutate())}
              disabled={kind === "backfill" && selection.since === undefined}
            >
              {found ? t(`bulk.${kind}.go`, number(found)) : t("bulk.count")}
            </BusyButton>
          </Group>
        </>
      )}
    </Stack>
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
