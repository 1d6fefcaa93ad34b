import { ActionIcon, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useRef } from "react";
import { api } from "../api/calls";
import type { Webhook } from "../api/types";
import type { BulkKind } from "../deliveries/BulkDialog";
import { useT } from "../i18n";
import { asSeen, isolated } from "../i18n/format";
import { Icon } from "../ui/Icon";
import { useConfirm } from "../ui/useConfirm";
import { useSayFailure } from "./changes";

export function WebhookMenu({ webhook, onBulk }: { webhook: Webhook; onBulk: (kind: BulkKind) => void }) {
  const t = useT();
  const confirm = useConfirm();
  const client = useQueryClient();
  const navigate = useNavigate();
  const sayFailure = useSayFailure();

  const button = useRef<HTMLButtonElement>(null);
  /** From the menu's button, where the keyboard comes back to: the item is gone by then. */
  const from = (begin: () => unknown) => () => {
    button.current?.focus();
    begin();
  };
  const remove = async () => {
    const sure = await confirm({
      title: t("webhooks.deleteTitle", { name: isolated(webhook.name) }),
      text: t("webhooks.deleteDetail"),
      yes: t("webhooks.delete"),
      // Of a name of which nothing is seen nothing can be typed.
      type: asSeen(webhook.name) ? webhook.name : undefined,
      danger: true,
    });
    if (!sure) return;
    try {
      await api.deleteWebhook(webhook.id);
    } catch (error) {
      sayFailure(error);
      return;
    }
    await navigate({ to: "/webhooks" });
    client.removeQueries({ queryKey: ["webhook", webhook.id] });
    void client.invalidateQueries({ queryKey: ["webhooks"] });
    notifications.show({ message: t("webhooks.deleted", { name: isolated(webhook.name) }) });
  };

  return (
    <Menu position="bottom-end" width={230}>
      <Menu.Target>
        <ActionIcon ref={button} variant="default" size={36} aria-label={t("common.more")}>
          <Icon name="dots" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<Icon name="replay" size={16} />} onClick={from(() => onBulk("replay"))}>
          {t("bulk.replay.open")}
        </Menu.Item>
        <Menu.Item leftSection={<Icon name="download" size={16} />} onClick={from(() => onBulk("backfill"))}>
          {t("bulk.backfill.open")}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item color="red.8" leftSection={<Icon name="trash" size={16} />} onClick={from(remove)}>
          {t("webhooks.deleteOpen")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
