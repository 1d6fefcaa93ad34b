import type { Delivery, DeliveryDetail, Webhook } from "../api/types";

export const GROUP = "64b7f1a2c3d4e5f60718293a";

export const webhook = (change: Partial<Webhook> = {}): Webhook => ({
  id: "65a0000000000000000000b2",
  groupId: GROUP,
  name: "Payroll",
  targetUrl: "https://payroll.example/hook",
  enabled: true,
  events: {
    taskCreated: true,
    taskUpdated: false,
    taskCompleted: true,
    taskApproved: false,
    taskRejected: false,
    taskSwapped: false,
  },
  headers: {},
  retryPolicy: { maxAttempts: 14, backoffSeconds: 30 },
  timeoutSeconds: 15,
  rateLimitPerSecond: null,
  ordering: "none",
  skipInboundEchoes: false,
  secretHint: "LaSw",
  rotation: null,
  health: { status: "healthy", disabledReason: null, lastSuccessAt: "2026-01-02T03:04:05.678Z" },
  missed: null,
  createdAt: "2026-01-01T00:00:00.000Z",
  createdBy: "65a0000000000000000000d4",
  updatedAt: "2026-01-01T00:00:00.000Z",
  ...change,
});

export const delivery = (change: Partial<Delivery> = {}): Delivery => ({
  id: "dlv_1",
  groupId: GROUP,
  webhookId: "65a0000000000000000000b2",
  eventId: "evt_1",
  eventType: "task.completed",
  taskId: "65a0000000000000000000c3",
  payloadSummary: { taskId: "65a0000000000000000000c3", status: "Completed", changed: ["status"] },
  status: "dead-letter",
  attempts: 3,
  createdAt: "2026-01-02T03:04:05.678Z",
  lastAttemptAt: "2026-01-02T03:05:05.678Z",
  nextAttemptAt: null,
  deliveredAt: null,
  responseStatus: 503,
  durationMs: 12,
  errorMessage: "HTTP 503",
  ...change,
});

export const deliveryDetail = (change: Partial<DeliveryDetail> = {}): DeliveryDetail => ({
  ...delivery(),
  attemptLog: [
    {
      attempt: 1,
      at: "2026-01-02T03:04:06.000Z",
      outcome: "failed",
      durationMs: 12,
      responseStatus: 503,
      errorMessage: "HTTP 503",
      responseBody: "restarting",
    },
  ],
  body: '{"id":"evt_1","event":"task.completed","data":{"name":"Mum\'s birthday"}}',
  ...change,
});
