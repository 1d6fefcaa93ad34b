import { Tooltip } from "@mantine/core";
import type { ReactNode } from "react";
import { type DeliveryStatus, EVENT_TYPES, type EventType, type Webhook } from "../api/types";
import { useT } from "../i18n";
import { Ltr } from "./Text";

export type Tone = "ok" | "warn" | "bad" | "idle" | "info";

export const Badge = ({ tone, children }: { tone: Tone; children: ReactNode }) => (
  <span className="badge" data-tone={tone}>
    {children}
  </span>
);

const DELIVERY_TONES: Record<DeliveryStatus, Tone> = {
  queued: "info",
  failed: "warn",
  delivered: "ok",
  "dead-letter": "bad",
};

export function DeliveryBadge({ status }: { status: DeliveryStatus }) {
  const t = useT();
  return <Badge tone={DELIVERY_TONES[status]}>{t(`deliveries.status.${status}`)}</Badge>;
}

export function HealthBadge({ webhook }: { webhook: Pick<Webhook, "health"> }) {
  const t = useT();
  const { status, disabledReason, lastSuccessAt } = webhook.health;
  switch (status) {
    case "healthy":
      return lastSuccessAt === null ? (
        <Badge tone="idle">{t("webhooks.health.untried")}</Badge>
      ) : (
        <Badge tone="ok">{t("webhooks.health.healthy")}</Badge>
      );
    case "failing":
      return <Badge tone="warn">{t("webhooks.health.failing")}</Badge>;
    case "disabled":
      // An admin's own pause is no trouble; what Taskwire did itself is.
      return disabledReason === null || disabledReason === "admin" ? (
        <Badge tone="idle">{t("webhooks.health.paused")}</Badge>
      ) : (
        <Tooltip label={t(`webhooks.reason.${disabledReason}`)} multiline maw={280}>
          <span>
            <Badge tone="bad">{t(`webhooks.health.${disabledReason}`)}</Badge>
          </span>
        </Tooltip>
      );
  }
}

const isKnown = (type: string): type is EventType => (EVENT_TYPES as readonly string[]).includes(type);

export function EventName({ type }: { type: string }) {
  const t = useT();
  return (
    <span className="tag" title={isKnown(type) ? t(`event.${type}.what`) : undefined}>
      <Ltr mono>{type}</Ltr>
    </span>
  );
}
