import { type InfiniteData, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import type { Page } from "../api/types";

type Options<T> = {
  key: readonly unknown[];
  fetchPage: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>;
  idOf: (row: T) => string;
  /** Whether a row may still change. */
  isOpen?: (row: T) => boolean;
  every?: number;
};

/**
 * A list, newest first, that does not jump: rows that are shown keep their places and are brought up to date where they
 * stand; new ones are counted until they are asked for.
 */
export function useLiveList<T>({ key, fetchPage, idOf, isOpen, every = 3_000 }: Options<T>) {
  const client = useQueryClient();
  const listKey = [...key, "list"];
  const list = useInfiniteQuery({
    queryKey: listKey,
    queryFn: ({ pageParam, signal }) => fetchPage(pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.nextCursor ?? undefined,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  const newest = useQuery({
    queryKey: [...key, "newest"],
    queryFn: ({ signal }) => fetchPage(undefined, signal),
    refetchInterval: every,
    enabled: list.isSuccess,
  });

  const shown = useMemo(() => list.data?.pages.flatMap((page) => page.items) ?? [], [list.data]);
  const fresh = useMemo(() => new Map((newest.data?.items ?? []).map((row) => [idOf(row), row])), [newest.data, idOf]);
  const rows = useMemo(() => shown.map((row) => fresh.get(idOf(row)) ?? row), [shown, fresh, idOf]);
  // What is further down and still under way is looked at again too: a page at a time, in turn. (The first page is the newest.)
  const open = useMemo(() => {
    const isOfInterest = (row: T) => isOpen?.(row) && !fresh.has(idOf(row));
    return (list.data?.pages ?? []).flatMap((page, index) =>
      index > 0 && page.items.some(isOfInterest) ? [index] : [],
    );
  }, [list.data, fresh, idOf, isOpen]);
  const turn = useRef(-1);
  useQuery({
    queryKey: [...key, "older"],
    queryFn: async ({ signal }) => {
      const index = open.find((one) => one > turn.current) ?? open[0] ?? 0;
      turn.current = index;
      const cursor = list.data?.pageParams[index];
      const again = await fetchPage(typeof cursor === "string" ? cursor : undefined, signal);
      const byId = new Map(again.items.map((row) => [idOf(row), row]));
      client.setQueryData<InfiniteData<Page<T>>>(listKey, (data) => data && withRows(data, index, byId, idOf));
      return index;
    },
    refetchInterval: every,
    enabled: open.length > 0,
    staleTime: every,
  });
  const news = useMemo(() => {
    const known = new Set(shown.map(idOf));
    const items = newest.data?.items ?? [];
    // What comes after the first known row is no news: it is older, and left the list for another reason.
    const end = items.findIndex((row) => known.has(idOf(row)));
    const count = end === -1 ? items.length : end;
    return { count, isAll: end === -1 && newest.data?.nextCursor != null };
  }, [shown, newest.data, idOf]);

  // Whether the newest were looked at after the list was.
  const isLater = newest.dataUpdatedAt > list.dataUpdatedAt;
  // Rows that no longer fit the filter keep their places too, until the list is asked for anew.
  const gone = useMemo(() => {
    if (!newest.data || !isLater) return 0;
    const isWhole = newest.data.nextCursor === null;
    const end = isWhole ? shown.length : shown.findLastIndex((row) => fresh.has(idOf(row)));
    return shown.slice(0, Math.max(0, end)).filter((row) => !fresh.has(idOf(row))).length;
  }, [shown, fresh, newest.data, isLater, idOf]);

  // They are here already: nothing is asked again, and the rows do not give way to a wait.
  const showNews = () => {
    if (!newest.data) return;
    const begun: InfiniteData<Page<T>> = { pages: [newest.data], pageParams: [undefined] };
    client.setQueryData(listKey, begun);
  };
  // Where nothing stands yet, nothing can jump. What was looked at before the list was would bring
  // rows back that it has just lost.
  const first = shown.length === 0 && news.count > 0 && isLater;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each time that the first rows come
  useEffect(() => {
    if (first) showNews();
  }, [first]);
  return { list, rows, news, gone, showNews };
}

/** The same rows in the same places, as they are now. */
function withRows<T>(data: InfiniteData<Page<T>>, index: number, byId: Map<string, T>, idOf: (row: T) => string) {
  const pages = data.pages.map((page, at) =>
    at === index ? { ...page, items: page.items.map((row) => byId.get(idOf(row)) ?? row) } : page,
  );
  return { ...data, pages };
}

export type LiveList<T> = ReturnType<typeof useLiveList<T>>;
