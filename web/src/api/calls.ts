import createClient from "openapi-fetch";
import { authorizedFetch } from "./http";
import type { paths } from "./schema";
import type {
  DeliveryStatus,
  EventType,
  Inbound,
  InboundChange,
  NewWebhook,
  Selection,
  Webhook,
  WebhookChange,
} from "./types";

/** Types and paths come from the API's own description; `authorizedFetch` throws whatever is no success. */
const client = createClient<paths>({
  baseUrl: window.location.origin,
  fetch: authorizedFetch,
  // An empty filter is none.
  querySerializer: (query) => {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined && value !== null && value !== "") params.set(name, String(value));
    }
    return params.toString();
  },
});

type Answered<T> = Promise<{ data?: T; response: Response }>;

async function body<T>(answered: Answered<T>): Promise<T> {
  const { data } = await answered;
  return data as T;
}

/** Something that can be changed, with the version that a change refers to. */
export type Versioned<T> = { value: T; etag: string | null };
async function versioned<T>(answered: Answered<T>): Promise<Versioned<T>> {
  const { data, response } = await answered;
  return { value: data as T, etag: response.headers.get("etag") };
}

export type DeliveryFilter = {
  status?: DeliveryStatus;
  eventType?: EventType;
  taskId?: string;
  since?: string;
  until?: string;
};
export type EventsFilter = Omit<DeliveryFilter, "status">;

const WEBHOOK = "/api/integrations/webhooks/{id}";
const PAGE_SIZE = 50;
/** Sent again under the same key, a call has no second effect. */
const under = (key: string | undefined) => (key ? { "Idempotency-Key": key } : {});

export const api = {
  groups: (signal?: AbortSignal) => body(client.GET("/api/integrations/groups", { signal })),
  webhooks: (groupId: string | undefined, cursor: string | undefined, signal?: AbortSignal) =>
    body(client.GET("/api/integrations/webhooks", { params: { query: { groupId, cursor, limit: 200 } }, signal })),
  webhook: (id: string, signal?: AbortSignal): Promise<Versioned<Webhook>> =>
    versioned(client.GET(WEBHOOK, { params: { path: { id } }, signal })),
  createWebhook: (webhook: NewWebhook, key: string): Promise<Versioned<Webhook>> =>
    versioned(client.POST("/api/integrations/webhooks", { params: { header: under(key) }, body: webhook })),
  changeWebhook: (id: string, change: WebhookChange, ifMatch?: string | null): Promise<Versioned<Webhook>> =>
    versioned(
      client.PUT(WEBHOOK, { params: { path: { id }, header: ifMatch ? { "If-Match": ifMatch } : {} }, body: change }),
    ),
  deleteWebhook: async (id: string) => {
    await client.DELETE(WEBHOOK, { params: { path: { id } } });
  },

  deliveries: (id: string, filter: DeliveryFilter, cursor: string | undefined, signal?: AbortSignal) =>
    body(
      client.GET(`${WEBHOOK}/deliveries`, {
        params: { path: { id }, query: { ...filter, cursor, limit: PAGE_SIZE } },
        signal,
      }),
    ),
  delivery: (id: string, deliveryId: string, signal?: AbortSignal) =>
    body(client.GET(`${WEBHOOK}/deliveries/{deliveryId}`, { params: { path: { id, deliveryId } }, signal })),
  replayOne: (id: string, deliveryId: string, key: string) =>
    body(client.POST(`${WEBHOOK}/replay/{deliveryId}`, { params: { path: { id, deliveryId }, header: under(key) } })),
  replayMany: (id: string, selection: Selection, key?: string) =>
    body(client.POST(`${WEBHOOK}/replay`, { params: { path: { id }, header: under(key) }, body: selection })),
  backfill: (id: string, selection: Omit<Selection, "status"> & { since: string }, key?: string) =>
    body(client.POST(`${WEBHOOK}/backfill`, { params: { path: { id }, header: under(key) }, body: selection })),
  replays: (id: string, signal?: AbortSignal) =>
    body(client.GET(`${WEBHOOK}/replays`, { params: { path: { id }, query: { limit: 5 } }, signal })),
  replay: (id: string, replayId: string, signal?: AbortSignal) =>
    body(client.GET(`${WEBHOOK}/replays/{replayId}`, { params: { path: { id, replayId } }, signal })),
  cancelReplay: async (id: string, replayId: string) => {
    await client.DELETE(`${WEBHOOK}/replays/{replayId}`, { params: { path: { id, replayId } } });
  },

  statsOfEach: (groupId: string, signal?: AbortSignal) =>
    body(client.GET("/api/integrations/stats/webhooks", { params: { query: { groupId, window: "24h" } }, signal })),
  groupStats: (groupId: string, signal?: AbortSignal) =>
    body(client.GET("/api/integrations/stats", { params: { query: { groupId, window: "24h" } }, signal })),
  status: (signal?: AbortSignal) => body(client.GET("/api/integrations/status", { signal })),
  events: (groupId: string, filter: EventsFilter, cursor: string | undefined, signal?: AbortSignal) =>
    body(
      client.GET("/api/integrations/task-events", {
        params: { query: { groupId, ...filter, cursor, limit: PAGE_SIZE } },
        signal,
      }),
    ),
  trace: (eventId: string, signal?: AbortSignal) =>
    body(client.GET("/api/integrations/task-events/{eventId}/trace", { params: { path: { eventId } }, signal })),

  test: (id: string) => body(client.POST(`${WEBHOOK}/test`, { params: { path: { id } }, body: {} })),
  verifyReceiver: (id: string) => body(client.POST(`${WEBHOOK}/verify-receiver`, { params: { path: { id } } })),

  inbound: (groupId: string, signal?: AbortSignal): Promise<Versioned<Inbound>> =>
    versioned(client.GET("/api/integrations/inbound", { params: { query: { groupId } }, signal })),
  changeInbound: (groupId: string, change: InboundChange, ifMatch?: string | null): Promise<Versioned<Inbound>> =>
    versioned(
      client.PUT("/api/integrations/inbound", {
        params: { query: { groupId }, header: ifMatch ? { "If-Match": ifMatch } : {} },
        body: change,
      }),
    ),
  receipts: (groupId: string, signal?: AbortSignal) =>
    body(client.GET("/api/integrations/inbound/receipts", { params: { query: { groupId } }, signal })),
};
