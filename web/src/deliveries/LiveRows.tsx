import { Box, Group } from "@mantine/core";
import type { ColumnDef } from "@tanstack/react-table";
import type { ReactNode } from "react";
import { useT } from "../i18n";
import { BusyButton } from "../ui/BusyButton";
import { NewsBar } from "../ui/NewsBar";
import { Rows } from "../ui/Rows";
import { Empty, Failure, Waiting } from "../ui/States";
import { isFiltered } from "./filter";
import { ClearFilters, useLogFilters } from "./LogFilters";
import type { LiveList } from "./useLiveList";

type Props<T> = {
  of: LiveList<T>;
  label: string;
  newsLabel: "deliveries.news" | "events.news";
  columns: ColumnDef<T>[];
  rowId: (row: T) => string;
  open: (row: T) => void;
  opened: string | undefined;
  /** Above the rows. */
  head?: ReactNode;
  /** Where there is nothing, without any filter. */
  empty: ReactNode;
  noMatch: string;
};

/** A log, newest first, or what stands in its place: announces what is new, and goes back in time when asked. */
export function LiveRows<T>({ of, label, newsLabel, head, empty, noMatch, ...rows }: Props<T>) {
  const { list, news, gone, showNews } = of;
  return (
    <Box className="surface" style={{ overflow: "hidden" }}>
      {head}
      <NewsBar news={news} gone={gone} onShow={showNews} label={newsLabel} />
      {list.isPending ? (
        <Waiting />
      ) : list.error && of.rows.length === 0 ? (
        <Box p="md">
          <Failure error={list.error} retry={() => list.refetch()} />
        </Box>
      ) : of.rows.length === 0 ? (
        <Nothing empty={empty} noMatch={noMatch} />
      ) : (
        <Rows label={label} data={of.rows} {...rows} />
      )}
      <Older list={list} />
    </Box>
  );
}

function Nothing({ empty, noMatch }: { empty: ReactNode; noMatch: string }) {
  const t = useT();
  const { search } = useLogFilters();
  if (!isFiltered(search)) return empty;
  return <Empty icon="search" title={t("common.noMatch")} text={noMatch} action={<ClearFilters variant="default" />} />;
}

function Older<T>({ list }: Pick<LiveList<T>, "list">) {
  const t = useT();
  if (list.isFetchNextPageError) {
    return (
      <Box p="md" style={{ borderTop: "1px solid var(--line)" }}>
        <Failure error={list.error} retry={() => list.fetchNextPage()} />
      </Box>
    );
  }
  if (!list.hasNextPage) return null;
  return (
    <Group justify="center" p="sm" style={{ borderTop: "1px solid var(--line)" }}>
      <BusyButton variant="subtle" size="xs" busy={list.isFetchingNextPage} onClick={() => list.fetchNextPage()}>
        {t("common.older")}
      </BusyButton>
    </Group>
  );
}
