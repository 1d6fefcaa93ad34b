import { QueryClient, queryOptions } from "@tanstack/react-query";
import { api } from "./calls";
import { Problem, SignedOut } from "./problem";
import type { Webhook } from "./types";

export const queryClient = new QueryClient({
  defaultOptions: {
    // What is clicked without a network fails at once: kept for later, it would be done behind the back of who has gone on.
    mutations: { networkMode: "always" },
    queries: {
      networkMode: "always",
      refetchOnReconnect: true,
      staleTime: 5_000,
      // What the server refuses it refuses again; what did not reach it may yet.
      retry: (failures, error) =>
        !(error instanceof SignedOut) && !(error instanceof Problem && error.status < 500) && failures < 2,
      retryDelay: (attempt) => Math.min(500 * 2 ** attempt, 4_000),
    },
  },
});

/** More of a group are not listed. */
export const WEBHOOKS_MAX = 5_000;
/** Of so many the list is asked for less often. */
const WEBHOOKS_MANY = 400;

async function allWebhooks(groupId: string | undefined, signal: AbortSignal): Promise<Webhook[]> {
  const found: Webhook[] = [];
  let cursor: string | undefined;
  do {
    const page = await api.webhooks(groupId, cursor, signal);
    found.push(...page.items);
    cursor = page.nextCursor ?? undefined;
  } while (cursor && found.length < WEBHOOKS_MAX);
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
      refetchInterval: ({ state }) => ((state.data?.length ?? 0) > WEBHOOKS_MANY ? 60_000 : 10_000),
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
  /** The newest few: of a webhook one runs at a time. */
  replays: (id: string) =>
    queryOptions({
      queryKey: ["replays", id],
      queryFn: ({ signal }) => api.replays(id, signal),
      refetchInterval: ({ state }) => (state.data?.items.some(({ status }) => status === "running") ? 2_000 : false),
    }),
  trace: (eventId: string) =>
    queryOptions({ queryKey: ["trace", eventId], queryFn: ({ signal }) => api.trace(eventId, signal) }),
  inbound: (groupId: string) =>
    queryOptions({
      queryKey: ["inbound", groupId],
      queryFn: ({ signal }) => api.inbound(groupId, signal),
      refetchInterval: 10_000,
    }),
  receipts: (groupId: string) =>
    queryOptions({
      queryKey: ["receipts", groupId],
      queryFn: ({ signal }) => api.receipts(groupId, signal),
      refetchInterval: 5_000,
    }),
};
