import type { Webhook } from "../api/types";

export type ListFilter = { q?: string; health?: Webhook["health"]["status"] };

/** Webhooks whose name or URL holds the text, in the state asked for. */
export function filterWebhooks(webhooks: Webhook[], { q, health }: ListFilter): Webhook[] {
  const text = q?.trim().toLocaleLowerCase() ?? "";
  return webhooks.filter(
    (webhook) =>
      (health === undefined || webhook.health.status === health) &&
      (text === "" || `${webhook.name}\n${webhook.targetUrl}`.toLocaleLowerCase().includes(text)),
  );
}
