import type { paths } from "./schema";

type Content<R> = R extends { content: { "application/json": infer Body } } ? Body : never;
/** What an operation answers where it succeeds. */
type Answer<P extends keyof paths, M extends keyof paths[P]> = paths[P][M] extends { responses: infer R }
  ? Content<R[Extract<keyof R, 200 | 201 | 202>]>
  : never;
/** What an operation takes. */
type Body<P extends keyof paths, M extends keyof paths[P]> = paths[P][M] extends { requestBody: infer R }
  ? Content<R>
  : never;

export const EVENT_TYPES = [
  "task.created",
  "task.updated",
  "task.completed",
  "task.approved",
  "task.rejected",
  "task.swapped",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export const EVENT_KEYS = {
  "task.created": "taskCreated",
  "task.updated": "taskUpdated",
  "task.completed": "taskCompleted",
  "task.approved": "taskApproved",
  "task.rejected": "taskRejected",
  "task.swapped": "taskSwapped",
} as const satisfies Record<EventType, string>;
export type EventKey = (typeof EVENT_KEYS)[EventType];
export type EventFilter = Record<EventKey, boolean>;

export type Page<T> = { items: T[]; nextCursor: string | null };

export type OwnGroup = Answer<"/api/integrations/groups", "get">["items"][number];

export type Webhook = Answer<"/api/integrations/webhooks/{id}", "get">;
export type Health = Webhook["health"];
export type Rotation = NonNullable<Webhook["rotation"]>;
export type NewWebhook = Body<"/api/integrations/webhooks", "post">;
export type WebhookChange = Body<"/api/integrations/webhooks/{id}", "put">;
/** What the form makes, all of it given. */
export type WebhookInput = Required<Omit<NewWebhook, "secret" | "retryPolicy">> & Pick<Webhook, "retryPolicy">;

export const DELIVERY_STATUSES = ["queued", "failed", "delivered", "dead-letter"] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];
export type DeliveryDetail = Answer<"/api/integrations/webhooks/{id}/deliveries/{deliveryId}", "get">;
export type Delivery = Answer<"/api/integrations/webhooks/{id}/deliveries", "get">["items"][number];
export type Attempt = DeliveryDetail["attemptLog"][number];

/** Which deliveries a replay takes, or events a backfill. */
export type Selection = {
  status?: "delivered" | "dead-letter";
  eventTypes?: EventType[];
  since?: string;
  until?: string;
  dryRun?: boolean;
};
export type Started = Answer<"/api/integrations/webhooks/{id}/replay", "post">;
export type Replay = Answer<"/api/integrations/webhooks/{id}/replays/{replayId}", "get">;

export type Stats = Answer<"/api/integrations/stats", "get">;
export type Hour = Stats["byHour"][number];
export type StreamStatus = Answer<"/api/integrations/status", "get">;

export type TaskEvent = Answer<"/api/integrations/task-events", "get">["items"][number];
export type Trace = Answer<"/api/integrations/task-events/{eventId}/trace", "get">;
export type TraceItem = Trace["items"][number];

export const SCOPES = ["tasks:write", "tasks:approve", "categories:write"] as const;
export type Scope = (typeof SCOPES)[number];
export type Inbound = Answer<"/api/integrations/inbound", "get">;
export type InboundChange = Body<"/api/integrations/inbound", "put">;
export type Receipt = Answer<"/api/integrations/inbound/receipts", "get">["items"][number];

export type TestResult = Answer<"/api/integrations/webhooks/{id}/test", "post">;
