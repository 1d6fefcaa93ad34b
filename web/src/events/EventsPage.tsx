import { Box, Group, SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { api } from "../api/calls";
import { queries } from "../api/queries";
import type { TaskEvent, TraceItem } from "../api/types";
import { useGroup } from "../app/group";
import { useFilter } from "../deliveries/filter";
import { LiveRows } from "../deliveries/LiveRows";
import { LogFilters } from "../deliveries/LogFilters";
import { useLiveList } from "../deliveries/useLiveList";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { Badge, DeliveryBadge, EventName } from "../ui/Badges";
import { Page } from "../ui/Page";
import { SideDrawer } from "../ui/SideDrawer";
import { Empty, Loaded } from "../ui/States";
import { Ago, Copy, Fact, Ltr, Name, ShortId } from "../ui/Text";
import { useStep } from "../ui/useStep";

const FROM = "/events";
const idOf = (event: TaskEvent) => event.id;

export function EventsPage() {
  const t = useT();
  const groupId = useGroup();
  const search = useSearch({ from: FROM });
  const navigate = useNavigate({ from: FROM });
  const { status: _, ...filter } = useFilter(search);
  const live = useLiveList<TaskEvent>({
    key: ["events", groupId, filter],
    fetchPage: (cursor, signal) => api.events(groupId, filter, cursor, signal),
    idOf,
  });
  const columns = useColumns();
  const step = useStep();
  const put = (event: string | undefined, replace: boolean) =>
    void navigate({ search: (before) => ({ ...before, event }), resetScroll: false, replace });
  const opened = live.rows.find((row) => row.id === search.event);

  return (
    <Page title={t("events.title")} lead={t("events.lead")}>
      <LogFilters />
      <LiveRows
        of={live}
        label={t("events.title")}
        newsLabel="events.news"
        columns={columns}
        rowId={idOf}
        open={(row) => step.open(() => put(row.id, false))}
        opened={search.event}
        empty={<Empty icon="list" title={t("events.empty")} text={t("events.emptyDetail")} />}
        noMatch={t("events.noMatchDetail")}
      />
      <TraceDrawer eventId={search.event} listed={opened} onClose={() => step.close(() => put(undefined, true))} />
    </Page>
  );
}

function useColumns() {
  const t = useT();
  return useMemo<ColumnDef<TaskEvent>[]>(
    () => [
      {
        id: "type",
        header: t("deliveries.column.event"),
        cell: ({ row }) => <EventName type={row.original.eventType} />,
      },
      {
        id: "task",
        header: t("deliveries.column.task"),
        cell: ({ row }) => (
          <Link className="link" to="/events" search={{ task: row.original.taskId }}>
            <ShortId id={row.original.taskId} />
          </Link>
        ),
      },
      {
        id: "changed",
        header: t("events.column.changed"),
        cell: ({ row }) => <Changed event={row.original} />,
        meta: { narrow: "wide" },
      },
      {
        id: "actor",
        header: t("events.column.actor"),
        cell: ({ row }) => (row.original.actorId ? <ShortId id={row.original.actorId} /> : "–"),
        meta: { narrow: "drop" },
      },
      {
        id: "at",
        header: t("events.column.at"),
        cell: ({ row }) => (
          <Text size="sm" c="dimmed" component="span" style={{ whiteSpace: "nowrap" }}>
            <Ago at={row.original.timestamp} />
          </Text>
        ),
      },
    ],
    [t],
  );
}

function Changed({ event }: { event: TaskEvent }) {
  const t = useT();
  const marks = [
    event.recovered ? t("events.recovered") : null,
    event.echo ? t("events.echo") : null,
    event.muted ? t("events.muted") : null,
  ].filter((mark) => mark !== null);
  return (
    <Group gap={6}>
      <Text size="sm" component="span">
        <Ltr>{event.changed.length > 0 ? event.changed.join(", ") : "–"}</Ltr>
      </Text>
      {marks.map((mark) => (
        <Badge key={mark} tone="idle">
          {mark}
        </Badge>
      ))}
    </Group>
  );
}

type DrawerProps = { eventId: string | undefined; listed: TaskEvent | undefined; onClose: () => void };

function TraceDrawer({ eventId, listed, onClose }: DrawerProps) {
  const t = useT();
  return (
    <SideDrawer opened={eventId !== undefined} onClose={onClose} title={t("events.one")}>
      {eventId ? <Traced key={eventId} eventId={eventId} listed={listed} /> : null}
    </SideDrawer>
  );
}

function Traced({ eventId, listed }: { eventId: string; listed: TaskEvent | undefined }) {
  const t = useT();
  const trace = useQuery(queries.trace(eventId));
  const event = trace.data?.event ?? listed;
  return (
    <Stack>
      {event ? <Facts event={event} /> : null}
      <Text fw={600}>{t("events.trace")}</Text>
      <Loaded of={trace} rows={3}>
        {({ items, itemsLeftOut }) =>
          items.length === 0 ? (
            <Text size="sm" c="dimmed">
              {t("events.noWebhook")}
            </Text>
          ) : (
            <div>
              {items.map((item) => (
                <TraceRow key={item.webhookId} item={item} eventId={eventId} />
              ))}
              {itemsLeftOut > 0 ? (
                <Text size="sm" c="dimmed">
                  {t("events.leftOut", { count: itemsLeftOut })}
                </Text>
              ) : null}
            </div>
          )
        }
      </Loaded>
    </Stack>
  );
}

function Facts({ event }: { event: TaskEvent }) {
  const t = useT();
  const format = useFormat();
  const facts = [
    [t("events.column.at"), format.time(event.timestamp)],
    [t("deliveries.column.task"), <ShortId key="task" id={event.taskId} />],
    [t("events.sequence"), format.number(event.sequence)],
    [t("events.column.actor"), event.actorId ? <ShortId key="actor" id={event.actorId} /> : t("events.noActor")],
    [t("events.status"), event.status ?? "–"],
    [t("events.column.changed"), event.changed.join(", ") || "–"],
  ] as const;
  return (
    <>
      <Group gap="xs">
        <EventName type={event.eventType} />
        <ShortId id={event.id} />
        <Copy text={event.id} label={t("deliveries.copyEventId")} />
      </Group>
      <SimpleGrid cols={{ base: 2, xs: 3 }} spacing="sm">
        {facts.map(([label, value]) => (
          <Fact key={label} label={label}>
            {value}
          </Fact>
        ))}
      </SimpleGrid>
    </>
  );
}

function TraceRow({ item, eventId }: { item: TraceItem; eventId: string }) {
  const t = useT();
  return (
    <Group
      gap="sm"
      py={10}
      wrap="nowrap"
      align="flex-start"
      style={{ borderTop: "1px solid var(--line)" }}
      data-event={eventId}
    >
      <Box w={112} style={{ flex: "none" }}>
        {item.outcome === "not-sent" || item.outcome === "expired" ? (
          <Badge tone="idle">{t(`events.outcome.${item.outcome}`)}</Badge>
        ) : (
          <DeliveryBadge status={item.outcome} />
        )}
      </Box>
      <Box style={{ minWidth: 0 }}>
        <Text size="sm" fw={550}>
          <Name>{item.webhookName}</Name>
        </Text>
        <Text size="sm" c="dimmed">
          {item.reason ? t(`events.reason.${item.reason}`) : (item.errorMessage ?? t(`events.why.${item.outcome}`))}
        </Text>
        {item.deliveryId && !item.deleted ? (
          <Link
            className="link"
            style={{ fontSize: 13, color: "var(--info)" }}
            to="/webhooks/$webhookId"
            params={{ webhookId: item.webhookId }}
            search={{ delivery: item.deliveryId }}
          >
            {t("events.toDelivery")}
          </Link>
        ) : null}
      </Box>
    </Group>
  );
}
