import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import type { Page } from "../api/types";
import { useLiveList } from "./useLiveList";

const idOf = (row: string) => row;
const fetchPage = async (): Promise<Page<string>> => ({ items: ["a", "b"], nextCursor: null });
const pageOf = (items: string[]): Page<string> => ({ items, nextCursor: null });

test.each([
  ["an older look", -1],
  ["a look of the same millisecond", 0],
])("a list that has just lost its rows is not given them back by %s", async (_, before) => {
  const client = new QueryClient();
  const { result } = renderHook(() => useLiveList<string>({ key: ["rows"], fetchPage, idOf, every: 1_000_000 }), {
    wrapper: ({ children }) => <QueryClientProvider client={client}>{children}</QueryClientProvider>,
  });
  await waitFor(() => expect(client.getQueryData(["rows", "newest"])).toBeDefined());
  // The times are the test's own: two answers may come within one millisecond.
  const now = Date.now() + 1_000;
  act(() => {
    client.setQueryData(["rows", "newest"], pageOf(["a", "b"]), { updatedAt: now + before });
    client.setQueryData(["rows", "list"], { pages: [pageOf([])], pageParams: [undefined] }, { updatedAt: now });
  });
  await waitFor(() => expect(result.current.rows).toEqual([]));
  // The first rows that come after it are shown at once. (Over a list that holds the lost rows again they would only be counted.)
  act(() => {
    client.setQueryData(["rows", "newest"], pageOf(["c"]), { updatedAt: now + 1 });
  });
  await waitFor(() => expect(result.current.rows).toEqual(["c"]));
});
