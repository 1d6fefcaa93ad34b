import type { FieldPath } from "react-hook-form";
import * as z from "zod";
import { EVENT_KEYS, EVENT_TYPES, type EventFilter, type Webhook, type WebhookInput } from "../api/types";
import { asSeen } from "../i18n/format";
import { headerFault, urlFault } from "./checks";

// Its faster way compiles code from text, which the page's policy forbids.
z.config({ jitless: true });

/** What the form holds. Its messages are keys of the translation, so that they follow the language. */
export const formSchema = z.object({
  name: z
    .string()
    .trim()
    .max(200, "form.fault.nameLong")
    .refine((name) => asSeen(name) !== "", "form.fault.nameMissing"),
  targetUrl: z
    .string()
    .trim()
    .superRefine((url, context) => {
      const fault = urlFault(url);
      if (fault) context.addIssue({ code: "custom", message: fault });
    }),
  events: z
    .record(z.enum(EVENT_TYPES.map((type) => EVENT_KEYS[type])), z.boolean())
    .refine((events) => Object.values(events).some(Boolean), "form.fault.noEvent"),
  headers: z
    .array(z.object({ name: z.string(), value: z.string() }))
    .max(20, "form.fault.manyHeaders")
    .superRefine((headers, context) => {
      headers.forEach((header, index) => {
        const fault = headerFault(header, headers.slice(0, index));
        if (fault) context.addIssue({ code: "custom", message: fault.message, path: [index, fault.part] });
      });
    }),
  maxAttempts: z
    .number("form.fault.number")
    .int("form.fault.number")
    .min(1, "form.fault.attempts")
    .max(20, "form.fault.attempts"),
  backoffSeconds: z
    .number("form.fault.number")
    .int("form.fault.number")
    .min(1, "form.fault.backoff")
    .max(86_400, "form.fault.backoff"),
  timeoutSeconds: z
    .number("form.fault.number")
    .int("form.fault.number")
    .min(1, "form.fault.timeout")
    .max(30, "form.fault.timeout"),
  rateLimitPerSecond: z
    .number("form.fault.number")
    .int("form.fault.number")
    .min(1, "form.fault.rate")
    .max(1000, "form.fault.rate")
    .nullable(),
  ordering: z.enum(["none", "perTask"]),
  skipInboundEchoes: z.boolean(),
  secret: z
    .string()
    .refine((text) => text === "" || (text.length >= 16 && text.length <= 256), "form.fault.secretLength")
    .refine((text) => !/\p{Cc}|^ | $/u.test(text), "form.fault.secretPlain")
    .refine((text) => !text.startsWith("whsec_") || isBase64(text.slice(6)), "form.fault.secretBase64"),
});
export type FormValues = z.infer<typeof formSchema>;

function isBase64(text: string) {
  try {
    return text !== "" && btoa(atob(text)) === text;
  } catch {
    return false;
  }
}

const noEvents = (): EventFilter => ({
  taskCreated: false,
  taskUpdated: false,
  taskCompleted: false,
  taskApproved: false,
  taskRejected: false,
  taskSwapped: false,
});

export const newValues = (): FormValues => ({
  name: "",
  targetUrl: "",
  events: { ...noEvents(), taskCreated: true, taskCompleted: true },
  headers: [],
  maxAttempts: 14,
  backoffSeconds: 30,
  timeoutSeconds: 15,
  rateLimitPerSecond: null,
  ordering: "none",
  skipInboundEchoes: false,
  secret: "",
});

export const valuesOf = (webhook: Webhook): FormValues => ({
  name: webhook.name,
  targetUrl: webhook.targetUrl,
  events: { ...noEvents(), ...webhook.events },
  headers: Object.entries(webhook.headers).map(([name, value]) => ({ name, value })),
  maxAttempts: webhook.retryPolicy.maxAttempts,
  backoffSeconds: webhook.retryPolicy.backoffSeconds,
  timeoutSeconds: webhook.timeoutSeconds,
  rateLimitPerSecond: webhook.rateLimitPerSecond,
  ordering: webhook.ordering,
  skipInboundEchoes: webhook.skipInboundEchoes,
  secret: "",
});

type Body = Omit<WebhookInput, "groupId" | "enabled">;

export const bodyOf = (values: FormValues): Body => ({
  name: values.name.trim(),
  targetUrl: values.targetUrl.trim(),
  events: values.events,
  headers: Object.fromEntries(values.headers.map(({ name, value }) => [name.trim(), value])),
  retryPolicy: { maxAttempts: values.maxAttempts, backoffSeconds: values.backoffSeconds },
  timeoutSeconds: values.timeoutSeconds,
  rateLimitPerSecond: values.rateLimitPerSecond,
  ordering: values.ordering,
  skipInboundEchoes: values.skipInboundEchoes,
});

export type BodyField = keyof Body;
const FIELDS: BodyField[] = [
  "name",
  "targetUrl",
  "events",
  "headers",
  "retryPolicy",
  "timeoutSeconds",
  "rateLimitPerSecond",
  "ordering",
  "skipInboundEchoes",
];

/** The same whatever the order of keys. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner) =>
    inner && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => a.localeCompare(b)))
      : inner,
  );

/** The fields in which two forms differ. Only what was changed is sent, so that another admin's changes stay. */
export const differences = (before: FormValues, after: FormValues): BodyField[] => {
  const [from, to] = [bodyOf(before), bodyOf(after)];
  return FIELDS.filter((field) => canonical(from[field]) !== canonical(to[field]));
};

/** The form's field for one that the server names. */
export function fieldOf(field: string, { headers }: FormValues): FieldPath<FormValues> | "root" {
  if (field.startsWith("retryPolicy.maxAttempts")) return "maxAttempts";
  if (field.startsWith("retryPolicy")) return "backoffSeconds";
  const at = headers.findIndex(({ name }) => field === `headers.${name.trim()}`);
  if (at >= 0) return `headers.${at}.name`;
  const first = field.split(".")[0] ?? "";
  return first in formSchema.shape ? (first as keyof FormValues) : "root";
}
