import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import type { Page } from "../api/types";

type Options<T> = {
  key: readonly unknown[];
  fetchPage: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>;
  idOf: (row: T) => string;
  every?: number;
};

/**
 * A list, newest first, that does not jump: rows that are shown keep their places and are brought up to date where they
 * stand; new ones are counted until they are asked for.
 */
export function useLiveList<T>({ key, fetchPage, idOf, every = 3_000 }: Options<T>) {
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
  const rows = useMemo(() => {
    const fresh = new Map((newest.data?.items ?? []).map((row) => [idOf(row), row]));
    return shown.map((row) => fresh.get(idOf(row)) ?? row);
  }, [shown, newest.data, idOf]);
  const news = useMemo(() => {
    const known = new Set(shown.map(idOf));
    const items = newest.data?.items ?? [];
    // What comes after the first known row is no news: it is older, and left the list for another reason.
    const end = items.findIndex((row) => known.has(idOf(row)));
    const count = end === -1 ? items.length : end;
    return { count, isAll: end === -1 && newest.data?.nextCursor != null };
  }, [shown, newest.data, idOf]);

  const showNews = () => client.resetQueries({ queryKey: listKey });
  // Where nothing stands yet, nothing can jump.
  const first = shown.length === 0 && news.count > 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each time that the first rows come
  useEffect(() => {
    if (first) void showNews();
  }, [first]);
  return { list, rows, news, showNews };
}
