import { Switch, Tooltip } from "@mantine/core";
import type { Webhook } from "../api/types";
import { useT } from "../i18n";
import { useChangeWebhook } from "./changes";

export function PauseSwitch({ webhook }: { webhook: Webhook }) {
  const t = useT();
  const change = useChangeWebhook(webhook.id);
  const enabled = change.isPending ? (change.variables.enabled ?? webhook.enabled) : webhook.enabled;
  const label = t(enabled ? "webhooks.pauseNamed" : "webhooks.resumeNamed", { name: webhook.name });
  return (
    <Tooltip label={t(enabled ? "webhooks.pauseHelp" : "webhooks.resumeHelp")} multiline maw={260} openDelay={400}>
      <span>
        <Switch
          aria-label={label}
          checked={enabled}
          disabled={change.isPending}
          onChange={(event) => change.mutate({ enabled: event.currentTarget.checked })}
        />
      </span>
    </Tooltip>
  );
}
