import { Button, Group, NativeSelect } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { DELIVERY_STATUSES, EVENT_TYPES } from "../api/types";
import { useT } from "../i18n";
import { SearchField } from "../ui/SearchField";
import { TimeFilter } from "../ui/TimeFilter";
import { isFiltered, type Search } from "./filter";

/** The filters in the URL of a page that shows a log, and how they are changed. */
export function useLogFilters() {
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const put = (change: Search) =>
    navigate({ to: ".", search: (before) => ({ ...before, ...change }), replace: true, resetScroll: false });
  const clear = () => navigate({ to: ".", search: ({ group }) => ({ group }), replace: true, resetScroll: false });
  return { search, put, clear };
}

export function ClearFilters({ variant }: { variant: "default" | "subtle" }) {
  const t = useT();
  const { clear } = useLogFilters();
  return (
    <Button variant={variant} color="gray" onClick={clear}>
      {t("common.clearFilters")}
    </Button>
  );
}

/** By event, time and task, and of deliveries by state. */
export function LogFilters({ byStatus }: { byStatus?: boolean }) {
  const t = useT();
  const { search, put } = useLogFilters();
  return (
    <Group gap="xs" mb="md">
      {byStatus ? (
        <NativeSelect
          aria-label={t("deliveries.filterStatus")}
          value={search.status ?? ""}
          onChange={({ currentTarget: { value } }) => put({ status: DELIVERY_STATUSES.find((one) => one === value) })}
          data={[
            { value: "", label: t("deliveries.anyStatus") },
            ...DELIVERY_STATUSES.map((value) => ({ value, label: t(`deliveries.status.${value}`) })),
          ]}
        />
      ) : null}
      <NativeSelect
        aria-label={t("deliveries.filterEvent")}
        value={search.eventType ?? ""}
        onChange={({ currentTarget: { value } }) => put({ eventType: EVENT_TYPES.find((one) => one === value) })}
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
        maw={300}
      />
      {isFiltered(search) ? <ClearFilters variant="subtle" /> : null}
    </Group>
  );
}
