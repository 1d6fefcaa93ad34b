import { authorizedFetch } from "./http";
import type {
  Delivery,
  DeliveryDetail,
  Inbound,
  InboundChange,
  Page,
  Receipt,
  ReceiverCase,
  Replay,
  Selection,
  Started,
  Stats,
  StreamStatus,
  TaskEvent,
  TestResult,
  Trace,
  Webhook,
  WebhookChange,
  WebhookInput,
} from "./types";

type Query = Record<string, string | number | undefined>;
type Options = { query?: Query; body?: unknown; ifMatch?: string | null; signal?: AbortSignal };

const ROOT = "/api/integrations";

async function call(method: string, path: string, { query, body, ifMatch, signal }: Options = {}): Promise<Response> {
  const url = new URL(ROOT + path, window.location.origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  const headers = new Headers();
  if (body !== undefined) headers.set("Content-Type", "application/json");
  if (ifMatch) headers.set("If-Match", ifMatch);
  return authorizedFetch(
    new Request(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal }),
  );
}

const json = async <T>(method: string, path: string, options?: Options): Promise<T> =>
  (await call(method, path, options)).json();

/** Something that can be changed, with the version that a change refers to. */
export type Versioned<T> = { value: T; etag: string | null };
const versioned = async <T>(method: string, path: string, options?: Options): Promise<Versioned<T>> => {
  const response = await call(method, path, options);
  return { value: await response.json(), etag: response.headers.get("etag") };
};

const webhook = (id: string) => `/webhooks/${encodeURIComponent(id)}`;

export type DeliveryFilter = {
  status?: string;
  eventType?: string;
  taskId?: string;
  since?: string;
  until?: string;
};
export type EventsFilter = { taskId?: string; eventType?: string; since?: string; until?: string };

export const api = {
  webhooks: (groupId: string | undefined, cursor: string | undefined, signal?: AbortSignal) =>
    json<Page<Webhook>>("GET", "/webhooks", { query: { groupId, cursor, limit: 200 }, signal }),
  webhook: (id: string, signal?: AbortSignal) => versioned<Webhook>("GET", webhook(id), { signal }),
  createWebhook: (body: WebhookInput & { secret?: string }) => versioned<Webhook>("POST", "/webhooks", { body }),
  changeWebhook: (id: string, body: WebhookChange, ifMatch?: string | null) =>
    versioned<Webhook>("PUT", webhook(id), { body, ifMatch }),
  deleteWebhook: async (id: string) => {
    await call("DELETE", webhook(id));
  },

  deliveries: (id: string, filter: DeliveryFilter, cursor: string | undefined, signal?: AbortSignal) =>
    json<Page<Delivery>>("GET", `${webhook(id)}/deliveries`, { query: { ...filter, cursor, limit: 50 }, signal }),
  delivery: (id: string, deliveryId: string, signal?: AbortSignal) =>
    json<DeliveryDetail>("GET", `${webhook(id)}/deliveries/${encodeURIComponent(deliveryId)}`, { signal }),
  replayOne: (id: string, deliveryId: string) =>
    json<{ id: string }>("POST", `${webhook(id)}/replay/${encodeURIComponent(deliveryId)}`),
  replayMany: (id: string, body: Selection) => json<Started>("POST", `${webhook(id)}/replay`, { body }),
  backfill: (id: string, body: Selection) => json<Started>("POST", `${webhook(id)}/backfill`, { body }),
  replay: (id: string, replayId: string, signal?: AbortSignal) =>
    json<Replay>("GET", `${webhook(id)}/replays/${encodeURIComponent(replayId)}`, { signal }),
  replays: (id: string, signal?: AbortSignal) => json<Page<Replay>>("GET", `${webhook(id)}/replays`, { signal }),
  cancelReplay: async (id: string, replayId: string) => {
    await call("DELETE", `${webhook(id)}/replays/${encodeURIComponent(replayId)}`);
  },

  test: (id: string) => json<TestResult>("POST", `${webhook(id)}/test`, { body: {} }),
  verifyReceiver: (id: string) => json<{ results: ReceiverCase[] }>("POST", `${webhook(id)}/verify-receiver`),
  stats: (id: string, signal?: AbortSignal) =>
    json<Stats>("GET", `${webhook(id)}/stats`, { query: { window: "24h" }, signal }),

  status: (signal?: AbortSignal) => json<StreamStatus>("GET", "/status", { signal }),
  events: (groupId: string, filter: EventsFilter, cursor: string | undefined, signal?: AbortSignal) =>
    json<Page<TaskEvent>>("GET", "/task-events", { query: { groupId, ...filter, cursor, limit: 50 }, signal }),
  trace: (eventId: string, signal?: AbortSignal) =>
    json<Trace>("GET", `/task-events/${encodeURIComponent(eventId)}/trace`, { signal }),

  inbound: (groupId: string, signal?: AbortSignal) =>
    versioned<Inbound>("GET", "/inbound", { query: { groupId }, signal }),
  changeInbound: (groupId: string, body: InboundChange) =>
    versioned<Inbound>("PUT", "/inbound", { query: { groupId }, body }),
  receipts: (groupId: string, signal?: AbortSignal) =>
    json<Page<Receipt>>("GET", "/inbound/receipts", { query: { groupId }, signal }),
};
