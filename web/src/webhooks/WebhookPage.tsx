import { Alert, Button, Group, Tabs, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, Navigate, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { Versioned } from "../api/calls";
import { isStatus } from "../api/problem";
import { queries } from "../api/queries";
import type { Webhook } from "../api/types";
import { useGroup } from "../app/group";
import { NotFound } from "../app/NotFound";
import { BulkDialog, type BulkKind } from "../deliveries/BulkDialog";
import { DeliveriesTab } from "../deliveries/DeliveriesTab";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { HealthBadge } from "../ui/Badges";
import { BusyButton } from "../ui/BusyButton";
import { Icon } from "../ui/Icon";
import { Page } from "../ui/Page";
import { Loaded } from "../ui/States";
import { Ago, Copy, Ltr, UrlParts } from "../ui/Text";
import { useOnce } from "../ui/useOnce";
import { useChangeWebhook } from "./changes";
import { SecretTab } from "./SecretTab";
import { SettingsTab } from "./SettingsTab";
import { TestButton } from "./TestButton";
import { WebhookMenu } from "./WebhookMenu";

export function WebhookPage() {
  const { webhookId } = useParams({ from: "/webhooks/$webhookId" });
  const t = useT();
  const webhook = useQuery(queries.webhook(webhookId));
  const group = useGroup();
  const its = webhook.data?.value.groupId;
  // By a link without its group, or with another of the reader's: the header must not say that it is that one's.
  if (its !== undefined && its !== group)
    return <Navigate to="." search={(before) => ({ ...before, group: its })} replace />;
  if (isStatus(webhook.error, 404) && !webhook.data) return <NotFound />;
  return (
    <>
      {isStatus(webhook.error, 404) ? (
        <Alert color="red" mb="md" icon={<Icon name="alert" />} role="alert">
          {t("webhooks.goneMeanwhile")}
        </Alert>
      ) : null}
      <Loaded of={webhook}>{(found) => <Shown key={webhookId} found={found} />}</Loaded>
    </>
  );
}

function Shown({ found }: { found: Versioned<Webhook> }) {
  const t = useT();
  const webhook = found.value;
  const { tab = "deliveries" } = useSearch({ from: "/webhooks/$webhookId" });
  const navigate = useNavigate({ from: "/webhooks/$webhookId" });
  const [bulk, setBulk] = useState({ kind: "replay" as BulkKind, opened: false, nth: 0 });
  const open = (kind: BulkKind) => setBulk(({ nth }) => ({ kind, opened: true, nth: nth + 1 }));
  const change = useChangeWebhook(webhook.id);
  const begin = useOnce(change);

  return (
    <>
      <Group mb={4}>
        <Link to="/webhooks" className="link" style={{ fontSize: 13, color: "var(--muted)", fontWeight: 400 }}>
          ‹ {t("webhooks.back")}
        </Link>
      </Group>
      <Page
        title={webhook.name}
        badge={<HealthBadge webhook={webhook} />}
        lead={<Lead webhook={webhook} />}
        actions={
          <>
            <TestButton webhook={webhook} />
            <BusyButton
              variant="default"
              busy={change.isPending}
              leftSection={<Icon name={webhook.enabled ? "pause" : "play"} size={15} />}
              onClick={() => begin({ enabled: !webhook.enabled })}
            >
              {t(webhook.enabled ? "webhooks.pause" : "webhooks.resume")}
            </BusyButton>
            <WebhookMenu webhook={webhook} onBulk={open} />
          </>
        }
      >
        <Notices webhook={webhook} onBackfill={() => open("backfill")} />
        <Tabs
          value={tab}
          onChange={(value) =>
            navigate({
              search: ({ group }) => ({ group, tab: value === "deliveries" ? undefined : (value as "settings") }),
            })
          }
          keepMounted={false}
        >
          <Tabs.List mb="md">
            <Tabs.Tab value="deliveries">{t("webhooks.tab.deliveries")}</Tabs.Tab>
            <Tabs.Tab value="settings">{t("webhooks.tab.settings")}</Tabs.Tab>
            <Tabs.Tab value="secret">{t("webhooks.tab.secret")}</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="deliveries">
            <DeliveriesTab webhook={webhook} onReplayAll={() => open("replay")} />
          </Tabs.Panel>
          <Tabs.Panel value="settings">
            <SettingsTab found={found} />
          </Tabs.Panel>
          <Tabs.Panel value="secret">
            <SecretTab webhook={webhook} />
          </Tabs.Panel>
        </Tabs>
      </Page>
      <BulkDialog {...bulk} webhook={webhook} onClose={() => setBulk({ ...bulk, opened: false })} />
    </>
  );
}

function Lead({ webhook }: { webhook: Webhook }) {
  const t = useT();
  const { lastSuccessAt } = webhook.health;
  return (
    <>
      <Group gap={2} wrap="nowrap">
        <Text size="sm" className="cut" dir="ltr" lineClamp={3} title={webhook.targetUrl}>
          <Ltr mono>
            <UrlParts url={webhook.targetUrl} />
          </Ltr>
        </Text>
        <Copy text={webhook.targetUrl} label={t("webhooks.copyUrl")} />
      </Group>
      <Text size="sm" c="dimmed" component="div">
        {lastSuccessAt ? (
          <>
            {t("webhooks.lastSuccess")} <Ago at={lastSuccessAt} />
          </>
        ) : (
          t("webhooks.noSuccess")
        )}
      </Text>
    </>
  );
}

/** What the webhook's admins should know, or decide. */
function Notices({ webhook, onBackfill }: { webhook: Webhook; onBackfill: () => void }) {
  const t = useT();
  const format = useFormat();
  const change = useChangeWebhook(webhook.id);
  const reason = webhook.health.disabledReason;
  return (
    <>
      {reason === "gone" || reason === "failing-for-5-days" ? (
        <Alert color="red" mb="md" icon={<Icon name="alert" />} title={t(`webhooks.health.${reason}`)}>
          {t(`webhooks.reason.${reason}`)}
        </Alert>
      ) : null}
      {reason === "admin" ? (
        <Alert color="gray" mb="md" icon={<Icon name="pause" />}>
          {t("webhooks.reason.admin")}
        </Alert>
      ) : null}
      {webhook.missed && webhook.enabled ? (
        <Alert color="yellow" mb="md" icon={<Icon name="clock" />} title={t("webhooks.missed")}>
          <Text size="sm" mb="sm">
            {t("webhooks.missedDetail", {
              since: format.time(webhook.missed.since),
              until: format.time(webhook.missed.until),
            })}
          </Text>
          <Group gap="xs">
            <Button size="xs" onClick={onBackfill}>
              {t("bulk.backfill.open")}
            </Button>
            <BusyButton
              size="xs"
              variant="default"
              busy={change.isPending}
              onClick={() => change.mutate({ dismissMissed: true })}
            >
              {t("webhooks.missedDismiss")}
            </BusyButton>
          </Group>
        </Alert>
      ) : null}
    </>
  );
}
