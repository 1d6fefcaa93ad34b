import type { Attempt, DeliveryDetail, Webhook } from "../api/types";
import { isCredential } from "../webhooks/checks";

const MASK = "••••••••";

export type SentHeader = { name: string; value: string };

/** The headers that Taskwire itself gave an attempt. Signatures are masked: no answer shows them. */
export function headersOf(delivery: DeliveryDetail, attempt: Pick<Attempt, "attempt" | "at">): SentHeader[] {
  const timestamp = String(Math.floor(new Date(attempt.at).getTime() / 1000));
  return [
    { name: "Content-Type", value: "application/json" },
    { name: "X-Event", value: delivery.eventType },
    { name: "X-Delivery-Id", value: delivery.id },
    { name: "X-Attempt", value: String(attempt.attempt) },
    { name: "X-Timestamp", value: timestamp },
    { name: "X-Signature", value: `sha256=${MASK}` },
    { name: "webhook-id", value: delivery.eventId },
    { name: "webhook-timestamp", value: timestamp },
    { name: "webhook-signature", value: `v1,${MASK}` },
  ];
}

/** The headers that the settings add today. What they added to an attempt in the past is not kept. */
export const ownHeadersOf = (webhook: Webhook): SentHeader[] =>
  Object.entries(webhook.headers).map(([name, value]) => ({ name, value: isCredential(name) ? MASK : value }));

/** A text as one word of a POSIX shell. */
const quote = (text: string) => `'${text.replace(/'/g, `'\\''`)}'`;

/** The same body by hand, as today's settings send it: to their URL, with their headers, signed now with `$SECRET`. */
export function asCurl(delivery: DeliveryDetail, webhook: Webhook): string {
  const own = Object.entries(webhook.headers).map(
    ([name, value]) => `  -H ${quote(`${name}: ${isCredential(name) ? "…" : value}`)} \\`,
  );
  return [
    `BODY=${quote(delivery.body ?? "")}`,
    "NOW=$(date +%s)",
    `SIGNATURE=$(printf '%s.%s' "$NOW" "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d' ' -f1)`,
    `curl -i ${quote(webhook.targetUrl)} \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -H ${quote(`X-Event: ${delivery.eventType}`)} \\`,
    `  -H ${quote(`X-Delivery-Id: ${delivery.id}`)} \\`,
    `  -H ${quote(`X-Attempt: ${delivery.attempts}`)} \\`,
    ...own,
    '  -H "X-Timestamp: $NOW" \\',
    '  -H "X-Signature: sha256=$SIGNATURE" \\',
    '  --data-binary "$BODY"',
  ].join("\n");
}

/** JSON in lines for reading; what is none stays as it is. */
export function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
