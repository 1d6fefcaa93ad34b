import { Box, Button, Group, SegmentedControl, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { createContext, useContext, useMemo, useState } from "react";
import { queries, WEBHOOKS_MAX } from "../api/queries";
import type { Stats, Webhook } from "../api/types";
import { useGroup } from "../app/group";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { HealthBadge } from "../ui/Badges";
import { Page } from "../ui/Page";
import { Rows } from "../ui/Rows";
import { SearchField } from "../ui/SearchField";
import { Empty, Loaded } from "../ui/States";
import { Ago, Name, UrlParts } from "../ui/Text";
import { filterWebhooks, type ListFilter } from "./filter";
import { NewButton } from "./NewButton";
import { PauseSwitch } from "./PauseSwitch";
import { Sparkline } from "./Sparkline";

export function ListPage() {
  const t = useT();
  const group = useGroup();
  const webhooks = useQuery(queries.webhooks(group));
  const search = useSearch({ from: "/webhooks" });
  return (
    <Page title={t("webhooks.title")} lead={t("webhooks.lead")} actions={<NewButton />}>
      <Loaded of={webhooks}>
        {(all) =>
          all.length === 0 ? (
            <Box className="surface">
              <Empty icon="hook" title={t("webhooks.empty")} text={t("webhooks.emptyDetail")} action={<NewButton />} />
            </Box>
          ) : (
            <>
              <Filters />
              {all.length >= WEBHOOKS_MAX ? <Cut /> : null}
              <List webhooks={filterWebhooks(all, search)} />
            </>
          )
        }
      </Loaded>
    </Page>
  );
}

function Filters() {
  const t = useT();
  const search = useSearch({ from: "/webhooks" });
  const navigate = useNavigate({ from: "/webhooks" });
  const put = (change: ListFilter) => navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  return (
    <Group mb="md" gap="sm">
      <SearchField
        label={t("webhooks.search")}
        value={search.q ?? ""}
        onChange={(q) => put({ q: q || undefined })}
        flex="1 1 220px"
        maw={340}
      />
      <SegmentedControl
        aria-label={t("webhooks.filter")}
        value={search.health ?? "all"}
        onChange={(value) => put({ health: value === "all" ? undefined : (value as ListFilter["health"]) })}
        data={[
          { value: "all", label: t("common.all") },
          { value: "healthy", label: t("webhooks.health.fine") },
          { value: "failing", label: t("webhooks.health.failing") },
          { value: "disabled", label: t("webhooks.health.off") },
        ]}
      />
    </Group>
  );
}

function Cut() {
  const t = useT();
  const format = useFormat();
  return (
    <Text size="sm" c="dimmed" mb="sm">
      {t("webhooks.cut", { most: format.number(WEBHOOKS_MAX) })}
    </Text>
  );
}

/** So many are drawn at a time: a thousand would hold the browser up for seconds. */
const AT_A_TIME = 100;

type Days = { data: Map<string, Stats> | undefined; error: unknown };
/** The last day of each webhook, asked for once. */
const DaysOfEach = createContext<Days>({ data: undefined, error: null });

function List({ webhooks }: { webhooks: Webhook[] }) {
  const t = useT();
  const navigate = useNavigate();
  const { data, error } = useQuery(queries.statsOfEach(useGroup()));
  const days = useMemo(() => ({ data, error }), [data, error]);
  const [count, setCount] = useState(AT_A_TIME);
  const shown = useMemo(() => webhooks.slice(0, count), [webhooks, count]);
  const left = webhooks.length - shown.length;
  const columns = useMemo<ColumnDef<Webhook>[]>(
    () => [
      {
        id: "name",
        header: t("webhooks.column.name"),
        cell: ({ row }) => <NameCell webhook={row.original} />,
      },
      {
        id: "health",
        header: t("webhooks.column.health"),
        cell: ({ row }) => <HealthBadge webhook={row.original} />,
        meta: { width: 130 },
      },
      {
        id: "success",
        header: t("webhooks.column.day"),
        cell: ({ row }) => <DayCell id={row.original.id} />,
        meta: { width: 230, narrow: "wide", named: true },
      },
      {
        id: "last",
        header: t("webhooks.column.last"),
        cell: ({ row }) => {
          const at = row.original.health.lastSuccessAt;
          return (
            <Text size="sm" c="dimmed" component="span">
              {at ? <Ago at={at} /> : t("webhooks.never")}
            </Text>
          );
        },
        meta: { width: 130, named: true },
      },
      {
        id: "enabled",
        header: t("webhooks.column.on"),
        cell: ({ row }) => <PauseSwitch webhook={row.original} />,
        meta: { width: 80 },
      },
    ],
    [t],
  );
  if (webhooks.length === 0) {
    const clear = (
      <Button variant="default" onClick={() => navigate({ to: "/webhooks", search: {} })}>
        {t("common.clearFilters")}
      </Button>
    );
    return (
      <Box className="surface">
        <Empty icon="search" title={t("common.noMatch")} text={t("webhooks.noMatchDetail")} action={clear} />
      </Box>
    );
  }
  return (
    <Box className="surface" style={{ overflow: "hidden" }}>
      <DaysOfEach.Provider value={days}>
        <Rows
          label={t("webhooks.title")}
          data={shown}
          columns={columns}
          rowId={(webhook) => webhook.id}
          open={(webhook) => navigate({ to: "/webhooks/$webhookId", params: { webhookId: webhook.id } })}
          hasLinks
        />
      </DaysOfEach.Provider>
      {left > 0 ? (
        <Group justify="center" p="sm" style={{ borderTop: "1px solid var(--line)" }}>
          <Button variant="subtle" size="xs" onClick={() => setCount(count + AT_A_TIME)}>
            {t("common.showMore", { count: Math.min(left, AT_A_TIME) })}
          </Button>
        </Group>
      ) : null}
    </Box>
  );
}

function NameCell({ webhook }: { webhook: Webhook }) {
  return (
    <div style={{ minWidth: 0 }}>
      <Text size="sm" className="cut" lineClamp={3} component="div">
        <Link className="link" to="/webhooks/$webhookId" params={{ webhookId: webhook.id }}>
          <Name>{webhook.name}</Name>
        </Link>
      </Text>
      <Text size="xs" c="dimmed" className="ellipsis" dir="ltr" maw={380} title={webhook.targetUrl} component="div">
        <UrlParts url={webhook.targetUrl} />
      </Text>
    </div>
  );
}

function DayCell({ id }: { id: string }) {
  const t = useT();
  const format = useFormat();
  const { data, error } = useContext(DaysOfEach);
  if (error && !data)
    return (
      <Text size="sm" c="dimmed">
        –
      </Text>
    );
  if (!data) return null;
  const day = data.get(id);
  return (
    <Group gap="sm" wrap="nowrap">
      <Text size="sm" w={66} ta="start">
        {day ? format.share(day.successes, day.attempts) : t("webhooks.quiet")}
      </Text>
      <Sparkline hours={day?.byHour ?? []} />
    </Group>
  );
}
