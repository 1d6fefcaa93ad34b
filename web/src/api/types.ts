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

export type Rotation = { startedAt: string; expiresAt: string | null };
export type DisabledReason = "admin" | "gone" | "failing-for-5-days";
export type Health = {
  status: "healthy" | "failing" | "disabled";
  disabledReason: DisabledReason | null;
  lastSuccessAt: string | null;
};

export type WebhookInput = {
  groupId: string;
  name: string;
  targetUrl: string;
  enabled: boolean;
  events: EventFilter;
  headers: Record<string, string>;
  retryPolicy: { maxAttempts: number; backoffSeconds: number };
  timeoutSeconds: number;
  rateLimitPerSecond: number | null;
  ordering: "none" | "perTask";
  skipInboundEchoes: boolean;
};

export type Webhook = WebhookInput & {
  id: string;
  secret?: string;
  secretHint: string;
  rotation: Rotation | null;
  health: Health;
  missed: { since: string; until: string } | null;
  createdAt: string;
  createdBy: string;
  updatedAt: string;
};

export type WebhookChange = Partial<Omit<WebhookInput, "groupId">> & {
  secret?: string;
  rotateSecret?: true;
  finalizeRotation?: true;
  dismissMissed?: true;
};

export const DELIVERY_STATUSES = ["queued", "failed", "delivered", "dead-letter"] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

export type Delivery = {
  id: string;
  groupId: string;
  webhookId: string;
  eventId: string;
  eventType: string;
  taskId: string;
  payloadSummary: { taskId: string; status: string | null; changed: string[] };
  status: DeliveryStatus;
  attempts: number;
  createdAt: string;
  lastAttemptAt: string | null;
  nextAttemptAt: string | null;
  deliveredAt: string | null;
  responseStatus: number | null;
  durationMs: number | null;
  errorMessage: string | null;
};

export type Attempt = {
  attempt: number;
  at: string;
  outcome: string;
  durationMs: number | null;
  responseStatus: number | null;
  errorMessage: string | null;
  responseBody: string | null;
};

export type DeliveryDetail = Delivery & { attemptLog: Attempt[]; body: string | null };

export type Selection = {
  status?: DeliveryStatus;
  eventTypes?: EventType[];
  since?: string;
  until?: string;
  dryRun?: boolean;
};
export type Started = { count: number; countIsMinimum: boolean; replayId: string | null };
export type Replay = {
  id: string;
  kind: "replay" | "backfill";
  status: "running" | "done" | "cancelled" | "failed";
  reason: string | null;
  total: number;
  done: number;
  skipped: number;
  createdAt: string;
  finishedAt: string | null;
};

export type Percentiles = { p50: number | null; p95: number | null; p99: number | null };
export type Hour = { hour: string; attempts: number; successes: number; failures: number } & Percentiles;
export type Stats = {
  window: string;
  attempts: number;
  successes: number;
  failures: number;
  deadLetters: number;
  latencyMs: Percentiles;
  byHour: Hour[];
};

export type StreamStatus = {
  state: "live" | "behind" | "stopped" | "paused";
  lagMs: number | null;
  oplogRemainingSeconds: number | null;
  at: string | null;
};

export type TaskEvent = {
  id: string;
  groupId: string;
  taskId: string;
  eventType: string;
  timestamp: string;
  sequence: number;
  actorId: string | null;
  status: string | null;
  changed: string[];
  echo: boolean;
  muted: boolean;
  recovered: boolean;
};

export type NotSent = "filter" | "disabled" | "created-later" | "deleted" | "echo" | "muted";
export type TraceItem = {
  webhookId: string;
  webhookName: string;
  deleted: boolean;
  outcome: DeliveryStatus | "not-sent" | "expired";
  reason: NotSent | null;
  deliveryId: string | null;
  attempts: number | null;
  responseStatus: number | null;
  errorMessage: string | null;
};
export type Trace = { event: TaskEvent; items: TraceItem[] };

export const SCOPES = ["tasks:write", "tasks:approve", "categories:write"] as const;
export type Scope = (typeof SCOPES)[number];
export type Inbound = {
  groupId: string;
  enabled: boolean;
  scopes: Scope[];
  ipAllowlist: string[];
  rateLimitPerMinute: number;
  secret?: string;
  secretHint: string | null;
  rotation: Rotation | null;
};
export type InboundChange = Partial<Pick<Inbound, "enabled" | "scopes" | "ipAllowlist" | "rateLimitPerMinute">> & {
  rotateSecret?: true;
  finalizeRotation?: true;
};
export type Receipt = {
  id: string;
  kind: "tasks" | "categories";
  status: number;
  created: number;
  updated: number;
  unchanged: number;
  at: string;
};

export type TestResult = {
  status: string;
  durationMs: number | null;
  responseStatus: number | null;
  errorMessage: string | null;
};
export type ReceiverCase = { case: string; expected: string; got: string; ok: boolean };
