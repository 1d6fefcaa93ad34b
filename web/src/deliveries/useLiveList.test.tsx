import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import type { Page } from "../api/types";
import { useLiveList } from "./useLiveList";

const idOf = (row: string) => row;

test("a list that has just lost its rows is not given them back by an older look", async () => {
  const client = new QueryClient();
  let page: Page<string> = { items: ["a", "b"], nextCursor: null };
  const options = { key: ["rows"], fetchPage: async () => page, idOf, every: 1_000_000 };
  const { result } = renderHook(() => useLiveList<string>(options), {
    wrapper: ({ children }) => <QueryClientProvider client={client}>{children}</QueryClientProvider>,
  });
  await waitFor(() => expect(client.getQueryData(["rows", "newest"])).toEqual(page));
  page = { items: [], nextCursor: null };
  await act(() => client.refetchQueries({ queryKey: ["rows", "list"] }));
  expect(result.current.list.data?.pages).toEqual([page]);
  expect(result.current.rows).toEqual([]);
  // The first rows that come after it are shown at once.
  page = { items: ["c"], nextCursor: null };
  await act(() => client.refetchQueries({ queryKey: ["rows", "newest"] }));
  await waitFor(() => expect(result.current.rows).toEqual(["c"]));
});
