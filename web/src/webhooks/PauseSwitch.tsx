import { Switch } from "@mantine/core";
import type { Webhook } from "../api/types";
import { useT } from "../i18n";
import { useChangeWebhook } from "./changes";

export function PauseSwitch({ webhook }: { webhook: Webhook }) {
  const t = useT();
  const change = useChangeWebhook(webhook.id);
  const enabled = change.isPending ? (change.variables.enabled ?? webhook.enabled) : webhook.enabled;
  return (
    <Switch
      aria-label={t(enabled ? "webhooks.pauseNamed" : "webhooks.resumeNamed", { name: webhook.name })}
      title={t(enabled ? "webhooks.pauseHelp" : "webhooks.resumeHelp")}
      checked={enabled}
      readOnly={change.isPending}
      aria-disabled={change.isPending || undefined}
      onChange={(event) => change.mutate({ enabled: event.currentTarget.checked })}
      w="fit-content"
    />
  );
}
