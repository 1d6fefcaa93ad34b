import { Box, Button, Checkbox, Group, NativeSelect, Text, VisuallyHidden } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useCallback, useMemo, useState } from "react";
import { api } from "../api/calls";
import { DELIVERY_STATUSES, type Delivery, EVENT_TYPES, type Webhook } from "../api/types";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { DeliveryBadge, EventName } from "../ui/Badges";
import { Icon } from "../ui/Icon";
import { NewsBar } from "../ui/NewsBar";
import { Rows } from "../ui/Rows";
import { SearchField } from "../ui/SearchField";
import { Empty, Failure, Waiting } from "../ui/States";
import { Ago, ShortId } from "../ui/Text";
import { TimeFilter } from "../ui/TimeFilter";
import { useNow } from "../ui/useNow";
import { DeliveryDrawer } from "./DeliveryDrawer";
import { filterOf, isFiltered } from "./filter";
import { ReplaySelected } from "./ReplaySelected";
import { useLiveList } from "./useLiveList";

const FROM = "/webhooks/$webhookId";
const idOf = (row: Delivery) => row.id;
/** Only what is finished can be replayed. */
const isFinished = (row: Delivery) => row.status === "delivered" || row.status === "dead-letter";

export function DeliveriesTab({ webhook, onReplayAll }: { webhook: Webhook; onReplayAll: () => void }) {
  const t = useT();
  const search = useSearch({ from: FROM });
  const navigate = useNavigate({ from: FROM });
  const now = useNow();
  const filter = filterOf(search, now);
  const { list, rows, news, showNews } = useLiveList<Delivery>({
    key: ["deliveries", webhook.id, filter],
    fetchPage: (cursor, signal) => api.deliveries(webhook.id, filter, cursor, signal),
    idOf,
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
  const columns = useColumns(selected, toggle);
  const chosen = rows.filter((row) => selected.has(row.id) && isFinished(row));
  const open = (delivery: string | undefined) =>
    navigate({ search: (before) => ({ ...before, delivery }), resetScroll: false });

  return (
    <>
      <Filters />
      <Box className="surface" style={{ overflow: "hidden" }}>
        <Group px="md" py="xs" justify="space-between" style={{ borderBottom: "1px solid var(--line)" }} mih={50}>
          <ReplaySelected webhook={webhook} chosen={chosen} onDone={() => setSelected(new Set())} />
          <Button size="xs" variant="default" leftSection={<Icon name="replay" size={14} />} onClick={onReplayAll}>
            {t("bulk.replay.matching")}
          </Button>
        </Group>
        <NewsBar news={news} onShow={showNews} label="deliveries.news" />
        {list.isPending ? (
          <Waiting />
        ) : list.error && rows.length === 0 ? (
          <Box p="md">
            <Failure error={list.error} retry={() => list.refetch()} />
          </Box>
        ) : rows.length === 0 ? (
          <NoDeliveries webhook={webhook} />
        ) : (
          <Rows
            label={t("deliveries.title")}
            data={rows}
            columns={columns}
            rowId={idOf}
            open={(row) => open(row.id)}
            opened={search.delivery}
          />
        )}
        {list.hasNextPage ? (
          <Group justify="center" p="sm" style={{ borderTop: "1px solid var(--line)" }}>
            <Button variant="subtle" size="xs" loading={list.isFetchingNextPage} onClick={() => list.fetchNextPage()}>
              {t("common.older")}
            </Button>
          </Group>
        ) : null}
      </Box>
      <DeliveryDrawer webhook={webhook} deliveryId={search.delivery} onClose={() => open(undefined)} />
    </>
  );
}

function NoDeliveries({ webhook }: { webhook: Webhook }) {
  const t = useT();
  const search = useSearch({ from: FROM });
  const navigate = useNavigate({ from: FROM });
  if (isFiltered(search)) {
    const clear = (
      <Button variant="default" onClick={() => navigate({ search: ({ group }) => ({ group }) })}>
        {t("common.clearFilters")}
      </Button>
    );
    return <Empty icon="search" title={t("common.noMatch")} text={t("deliveries.noMatchDetail")} action={clear} />;
  }
  return (
    <Empty
      icon="send"
      title={t("deliveries.empty")}
      text={t(webhook.enabled ? "deliveries.emptyDetail" : "deliveries.emptyPaused")}
    />
  );
}

function Filters() {
  const t = useT();
  const search = useSearch({ from: FROM });
  const navigate = useNavigate({ from: FROM });
  const put = (change: Partial<typeof search>) =>
    navigate({ search: (before) => ({ ...before, ...change }), replace: true, resetScroll: false });
  return (
    <Group gap="xs" mb="md">
      <NativeSelect
        aria-label={t("deliveries.filterStatus")}
        value={search.status ?? ""}
        onChange={(event) => put({ status: (event.currentTarget.value || undefined) as typeof search.status })}
        data={[
          { value: "", label: t("deliveries.anyStatus") },
          ...DELIVERY_STATUSES.map((value) => ({ value, label: t(`deliveries.status.${value}`) })),
        ]}
      />
      <NativeSelect
        aria-label={t("deliveries.filterEvent")}
        value={search.eventType ?? ""}
        onChange={(event) => put({ eventType: (event.currentTarget.value || undefined) as typeof search.eventType })}
        data={[
          { value: "", label: t("deliveries.anyEvent") },
          ...EVENT_TYPES.map((value) => ({ value, label: value })),
        ]}
      />
      <TimeFilter since={search.since} until={search.until} onChange={put} />
      <SearchField
        label={t("deliveries.filterTask")}
        value={search.task ?? ""}
        onChange={(task) => put({ task: task || undefined })}
        flex="1 1 200px"
        maw={280}
      />
      {isFiltered(search) ? (
        <Button
          variant="subtle"
          color="gray"
          size="sm"
          onClick={() => navigate({ search: ({ group }) => ({ group }), replace: true })}
        >
          {t("common.clearFilters")}
        </Button>
      ) : null}
    </Group>
  );
}

function useColumns(selected: ReadonlySet<string>, toggle: (id: string) => void) {
  const t = useT();
  const format = useFormat();
  return useMemo<ColumnDef<Delivery>[]>(
    () => [
      {
        id: "select",
        header: () => <VisuallyHidden>{t("deliveries.column.select")}</VisuallyHidden>,
        cell: ({ row: { original } }) => (
          <Checkbox
            aria-label={t("deliveries.select", { id: original.id })}
            checked={selected.has(original.id)}
            disabled={!isFinished(original)}
            onChange={() => toggle(original.id)}
          />
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
                {t("deliveries.next")} <Ago at={original.nextAttemptAt} />
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
    [t, format, selected, toggle],
  );
}

function Response({ row }: { row: Delivery }) {
  const format = useFormat();
  const took = row.durationMs === null ? null : format.milliseconds(row.durationMs);
  if (row.responseStatus === null && row.errorMessage === null) return <Text c="dimmed">–</Text>;
  return (
    <Text size="sm" className="ellipsis" maw={300} title={row.errorMessage ?? undefined}>
      {[row.responseStatus, row.status === "delivered" ? null : row.errorMessage, took]
        .filter((part) => part !== null)
        .join(" · ")}
    </Text>
  );
}
