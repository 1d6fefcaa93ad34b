import { Button, Checkbox, Group, Text, VisuallyHidden } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { createContext, memo, useCallback, useContext, useMemo, useState } from "react";
import { api } from "../api/calls";
import type { Delivery, Webhook } from "../api/types";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { DeliveryBadge, EventName } from "../ui/Badges";
import { Icon } from "../ui/Icon";
import { Empty } from "../ui/States";
import { Ago, ShortId } from "../ui/Text";
import { useStep } from "../ui/useStep";
import { DeliveryDrawer } from "./DeliveryDrawer";
import { useFilter } from "./filter";
import { LiveRows } from "./LiveRows";
import { LogFilters } from "./LogFilters";
import { Running } from "./Progression";
import { ReplaySelected } from "./ReplaySelected";
import { useLiveList } from "./useLiveList";

const FROM = "/webhooks/$webhookId";
const idOf = (row: Delivery) => row.id;
const isOpen = (row: Delivery) => row.status === "queued" || row.status === "failed";
/** Only what is finished can be replayed. */
const isFinished = (row: Delivery) => !isOpen(row);

export function DeliveriesTab({ webhook, onReplayAll }: { webhook: Webhook; onReplayAll: () => void }) {
  const t = useT();
  const search = useSearch({ from: FROM });
  const navigate = useNavigate({ from: FROM });
  const filter = useFilter(search);
  const live = useLiveList<Delivery>({
    key: ["deliveries", webhook.id, filter],
    fetchPage: (cursor, signal) => api.deliveries(webhook.id, filter, cursor, signal),
    idOf,
    isOpen,
  });
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const toggle = useCallback(
    (id: string) =>
      setSelected((before) => {
        const after = new Set(before);
        if (!after.delete(id)) after.add(id);
        return after;
      }),
    [],
  );
  const columns = useColumns(toggle);
  const chosen = live.rows.filter((row) => selected.has(row.id) && isFinished(row));
  const step = useStep();
  const put = (delivery: string | undefined, replace: boolean) =>
    void navigate({ search: (before) => ({ ...before, delivery }), resetScroll: false, replace });

  const replayAll = (
    <Group px="md" py="xs" justify="space-between" style={{ borderBottom: "1px solid var(--line)" }} mih={50}>
      <ReplaySelected webhook={webhook} chosen={chosen} onDone={() => setSelected(new Set())} />
      <Button size="xs" variant="default" leftSection={<Icon name="replay" size={14} />} onClick={onReplayAll}>
        {t("bulk.replay.matching")}
      </Button>
    </Group>
  );
  return (
    <Selected.Provider value={selected}>
      <Running webhook={webhook} />
      <LogFilters byStatus />
      <LiveRows
        of={live}
        label={t("deliveries.title")}
        newsLabel="deliveries.news"
        columns={columns}
        rowId={idOf}
        open={(row) => step.open(() => put(row.id, false))}
        opened={search.delivery}
        head={replayAll}
        empty={
          <Empty
            icon="send"
            title={t("deliveries.empty")}
            text={t(webhook.enabled ? "deliveries.emptyDetail" : "deliveries.emptyPaused")}
          />
        }
        noMatch={t("deliveries.noMatchDetail")}
      />
      <DeliveryDrawer
        webhook={webhook}
        deliveryId={search.delivery}
        onClose={() => step.close(() => put(undefined, true))}
      />
    </Selected.Provider>
  );
}

/** The ticked rows, known to each box by itself: a tick draws one box anew, not all rows. */
const Selected = createContext<ReadonlySet<string>>(new Set());

type BoxProps = { id: string; disabled: boolean; toggle: (id: string) => void };

const Box = memo(function Box({ id, disabled, toggle, checked }: BoxProps & { checked: boolean }) {
  const t = useT();
  return (
    <Checkbox
      aria-label={t("deliveries.select", { id })}
      checked={checked}
      disabled={disabled}
      onChange={() => toggle(id)}
    />
  );
});

const SelectBox = (props: BoxProps) => <Box {...props} checked={useContext(Selected).has(props.id)} />;

function useColumns(toggle: (id: string) => void) {
  const t = useT();
  const format = useFormat();
  return useMemo<ColumnDef<Delivery>[]>(
    () => [
      {
        id: "select",
        header: () => <VisuallyHidden>{t("deliveries.column.select")}</VisuallyHidden>,
        cell: ({ row: { original } }) => (
          <SelectBox id={original.id} disabled={!isFinished(original)} toggle={toggle} />
        ),
        meta: { width: 44, narrow: "drop" },
      },
      {
        id: "status",
        header: t("deliveries.column.status"),
        cell: ({ row }) => <DeliveryBadge status={row.original.status} />,
      },
      {
        id: "event",
        header: t("deliveries.column.event"),
        cell: ({ row }) => <EventName type={row.original.eventType} />,
      },
      {
        id: "task",
        header: t("deliveries.column.task"),
        cell: ({ row }) => <ShortId id={row.original.taskId} />,
        meta: { narrow: "drop" },
      },
      {
        id: "attempts",
        header: t("deliveries.column.attempts"),
        cell: ({ row: { original } }) => (
          <>
            {format.number(original.attempts)}
            {original.nextAttemptAt ? (
              <Text size="xs" c="dimmed" component="div">
                {t("deliveries.next")} <Ago at={original.nextAttemptAt} due />
              </Text>
            ) : null}
          </>
        ),
        meta: { narrow: "drop" },
      },
      {
        id: "response",
        header: t("deliveries.column.response"),
        cell: ({ row: { original } }) => <Response row={original} />,
      },
      {
        id: "at",
        header: t("deliveries.column.created"),
        cell: ({ row }) => (
          <Text size="sm" c="dimmed" component="span" style={{ whiteSpace: "nowrap" }}>
            <Ago at={row.original.createdAt} />
          </Text>
        ),
      },
    ],
    [t, format, toggle],
  );
}

function Response({ row }: { row: Delivery }) {
  const format = useFormat();
  const took = row.durationMs === null ? null : format.milliseconds(row.durationMs);
  if (row.responseStatus === null && row.errorMessage === null) return <Text c="dimmed">–</Text>;
  return (
    <Text size="sm" className="ellipsis" dir="ltr" maw={300} title={row.errorMessage ?? undefined}>
      {[row.responseStatus, row.status === "delivered" ? null : row.errorMessage, took]
        .filter((part) => part !== null)
        .join(" · ")}
    </Text>
  );
}
