import { QueryClient, queryOptions } from "@tanstack/react-query";
import { api } from "./calls";
import { Problem, SignedOut } from "./problem";
import type { Webhook } from "./types";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What the server refuses it refuses again; what did not reach it may yet.
      retry: (failures, error) =>
        !(error instanceof SignedOut) && !(error instanceof Problem && error.status < 500) && failures < 2,
      retryDelay: (attempt) => Math.min(500 * 2 ** attempt, 4_000),
    },
  },
});

async function allWebhooks(groupId: string | undefined, signal: AbortSignal): Promise<Webhook[]> {
  const found: Webhook[] = [];
  let cursor: string | undefined;
  do {
    const page = await api.webhooks(groupId, cursor, signal);
    found.push(...page.items);
    cursor = page.nextCursor ?? undefined;
  } while (cursor && found.length < 5_000);
  return found;
}

export const queries = {
  /** Those that the reader administers. A new name or another admin is seen within a minute. */
  groups: () =>
    queryOptions({
      queryKey: ["groups"],
      queryFn: async ({ signal }) => (await api.groups(signal)).items,
      staleTime: 30_000,
      refetchInterval: 60_000,
    }),
  webhooks: (groupId: string | undefined) =>
    queryOptions({
      queryKey: ["webhooks", groupId ?? null],
      queryFn: ({ signal }) => allWebhooks(groupId, signal),
      refetchInterval: 10_000,
    }),
  webhook: (id: string) =>
    queryOptions({
      queryKey: ["webhook", id],
      queryFn: ({ signal }) => api.webhook(id, signal),
      refetchInterval: 10_000,
    }),
  delivery: (id: string, deliveryId: string) =>
    queryOptions({
      queryKey: ["delivery", id, deliveryId],
      queryFn: ({ signal }) => api.delivery(id, deliveryId, signal),
      refetchInterval: ({ state }) =>
        state.data?.status === "queued" || state.data?.status === "failed" ? 2_000 : false,
    }),
  /** Of each webhook of the group that had an attempt, by its id. */
  statsOfEach: (groupId: string) =>
    queryOptions({
      queryKey: ["stats", "each", groupId],
      queryFn: async ({ signal }) => {
        const { items } = await api.statsOfEach(groupId, signal);
        return new Map(items.map(({ webhookId, stats }) => [webhookId, stats]));
      },
      staleTime: 30_000,
      refetchInterval: 60_000,
    }),
  groupStats: (groupId: string) =>
    queryOptions({
      queryKey: ["stats", "group", groupId],
      queryFn: ({ signal }) => api.groupStats(groupId, signal),
      staleTime: 5_000,
      refetchInterval: 10_000,
    }),
  status: () =>
    queryOptions({ queryKey: ["status"], queryFn: ({ signal }) => api.status(signal), refetchInterval: 5_000 }),
  replay: (id: string, replayId: string) =>
    queryOptions({
      queryKey: ["replay", id, replayId],
      queryFn: ({ signal }) => api.replay(id, replayId, signal),
      refetchInterval: ({ state }) => (state.data && state.data.status !== "running" ? false : 1_000),
    }),
  trace: (eventId: string) =>
    queryOptions({ queryKey: ["trace", eventId], queryFn: ({ signal }) => api.trace(eventId, signal) }),
  inbound: (groupId: string) =>
    queryOptions({ queryKey: ["inbound", groupId], queryFn: ({ signal }) => api.inbound(groupId, signal) }),
  receipts: (groupId: string) =>
    queryOptions({
      queryKey: ["receipts", groupId],
      queryFn: ({ signal }) => api.receipts(groupId, signal),
      refetchInterval: 5_000,
    }),
};
