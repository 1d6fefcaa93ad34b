import { Button, Progress, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/calls";
import type { Delivery, Webhook } from "../api/types";
import { useT } from "../i18n";
import { useErrorText } from "../ui/errorText";
import { Icon } from "../ui/Icon";
import { useIntent } from "../ui/useIntent";

type Props = { webhook: Webhook; chosen: Delivery[]; onDone: () => void };

/** Replays what is ticked, one after the other, and says what could not be. */
export function ReplaySelected({ webhook, chosen, onDone }: Props) {
  const t = useT();
  const client = useQueryClient();
  const errorText = useErrorText();
  const intent = useIntent();
  const [progress, setProgress] = useState<{ done: number; of: number } | null>(null);

  const run = async () => {
    const rows = chosen;
    const refused: string[] = [];
    for (const [index, row] of rows.entries()) {
      setProgress({ done: index, of: rows.length });
      try {
        await intent([row.id, row.lastAttemptAt], (key) => api.replayOne(webhook.id, row.id, key));
      } catch (error) {
        refused.push(`${row.id}: ${errorText(error).detail}`);
      }
    }
    setProgress(null);
    onDone();
    void client.invalidateQueries({ queryKey: ["deliveries", webhook.id] });
    notifications.show(
      refused.length === 0
        ? { color: "teal", message: t("deliveries.replayed", { count: rows.length }) }
        : {
            color: "red",
            title: t("deliveries.notReplayed", { count: refused.length }),
            message: refused[0],
            autoClose: false,
          },
    );
  };

  if (progress) {
    return (
      <Progress
        value={(progress.done / progress.of) * 100}
        w={200}
        aria-label={t("deliveries.replaying", { done: progress.done, of: progress.of })}
      />
    );
  }
  if (chosen.length === 0) {
    return (
      <Text size="sm" c="dimmed" visibleFrom="sm">
        {t("deliveries.selectHint")}
      </Text>
    );
  }
  return (
    <Button size="xs" onClick={run} leftSection={<Icon name="replay" size={14} />}>
      {t("deliveries.replaySelected", { count: chosen.length })}
    </Button>
  );
}
