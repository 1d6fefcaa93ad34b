import { Box, Group, SegmentedControl, SimpleGrid, Stack, Text, Timeline } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/calls";
import { queries } from "../api/queries";
import type { Attempt, DeliveryDetail, Webhook } from "../api/types";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { DeliveryBadge, EventName } from "../ui/Badges";
import { BusyButton } from "../ui/BusyButton";
import { CopyButton } from "../ui/CopyButton";
import { Icon } from "../ui/Icon";
import { SideDrawer } from "../ui/SideDrawer";
import { Loaded } from "../ui/States";
import { Ago, Code, Copy, Fact, Ltr, ShortId } from "../ui/Text";
import { useIntent } from "../ui/useIntent";
import { useOnce } from "../ui/useOnce";
import { useSayFailure } from "../webhooks/changes";
import { asCurl, headersOf, ownHeadersOf, pretty, type SentHeader } from "./sent";

type Props = { webhook: Webhook; deliveryId: string | undefined; onClose: () => void };

export function DeliveryDrawer({ webhook, deliveryId, onClose }: Props) {
  const t = useT();
  return (
    <SideDrawer opened={deliveryId !== undefined} onClose={onClose} title={t("deliveries.one")}>
      {deliveryId ? <Detail key={deliveryId} webhook={webhook} deliveryId={deliveryId} /> : null}
    </SideDrawer>
  );
}

function Detail({ webhook, deliveryId }: { webhook: Webhook; deliveryId: string }) {
  const delivery = useQuery(queries.delivery(webhook.id, deliveryId));
  return (
    <Loaded of={delivery} rows={6}>
      {(found) => (
        <Stack gap="lg">
          <Head webhook={webhook} delivery={found} />
          <Attempts delivery={found} />
          <Sent webhook={webhook} delivery={found} />
        </Stack>
      )}
    </Loaded>
  );
}

function Head({ webhook, delivery }: { webhook: Webhook; delivery: DeliveryDetail }) {
  const t = useT();
  const client = useQueryClient();
  const sayFailure = useSayFailure();
  const intent = useIntent();
  const replay = useMutation({
    // After another attempt it is another replay that is meant.
    mutationFn: () =>
      intent([delivery.id, delivery.lastAttemptAt], (key) => api.replayOne(webhook.id, delivery.id, key)),
    onError: sayFailure,
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["delivery", webhook.id, delivery.id] });
      void client.invalidateQueries({ queryKey: ["deliveries", webhook.id] });
      notifications.show({ color: "teal", message: t("deliveries.replayed", { count: 1 }) });
    },
  });
  const begin = useOnce(replay);
  const open = delivery.status === "queued" || delivery.status === "failed";
  return (
    <>
      <Group justify="space-between">
        <Group gap="xs">
          <DeliveryBadge status={delivery.status} />
          <EventName type={delivery.eventType} />
        </Group>
        <Group gap="xs">
          <CopyButton
            text={asCurl(delivery, webhook)}
            label={t("deliveries.curl")}
            size="xs"
            variant="default"
            disabled={delivery.body === null}
          />
          <BusyButton
            size="xs"
            onClick={() => begin()}
            busy={replay.isPending}
            disabled={open}
            title={open ? t("deliveries.stillOpen") : undefined}
            leftSection={<Icon name="replay" size={14} />}
          >
            {t("deliveries.replay")}
          </BusyButton>
        </Group>
      </Group>
      <SimpleGrid cols={{ base: 2, xs: 3 }} spacing="sm">
        <Fact label={t("deliveries.column.created")}>
          <Ago at={delivery.createdAt} />
        </Fact>
        <Fact label={t("deliveries.column.attempts")}>{delivery.attempts}</Fact>
        <Fact label={t("deliveries.column.task")}>
          <Link className="link" to="/events" search={{ task: delivery.taskId }}>
            <ShortId id={delivery.taskId} />
          </Link>
        </Fact>
        <Fact label={t("deliveries.changed")}>{delivery.payloadSummary.changed.join(", ") || "–"}</Fact>
        <Fact label={t("deliveries.id")}>
          <Group gap={2} wrap="nowrap">
            <ShortId id={delivery.id} />
            <Copy text={delivery.id} label={t("deliveries.copyId")} />
          </Group>
        </Fact>
        <Fact label={t("deliveries.eventId")}>
          <Group gap={2} wrap="nowrap">
            <Link className="link" to="/events" search={{ task: delivery.taskId, event: delivery.eventId }}>
              <ShortId id={delivery.eventId} />
            </Link>
            <Copy text={delivery.eventId} label={t("deliveries.copyEventId")} />
          </Group>
        </Fact>
      </SimpleGrid>
    </>
  );
}

function Attempts({ delivery }: { delivery: DeliveryDetail }) {
  const t = useT();
  const newestFirst = [...delivery.attemptLog].reverse();
  return (
    <Box component="section" aria-label={t("deliveries.attempts")}>
      <Text fw={600} mb="sm">
        {t("deliveries.attempts")}
      </Text>
      {delivery.nextAttemptAt ? (
        <Text size="sm" mb="sm" c="var(--info)">
          {t("deliveries.nextAttempt")} <Ago at={delivery.nextAttemptAt} due />
        </Text>
      ) : null}
      {newestFirst.length === 0 ? (
        <Text size="sm" c="dimmed">
          {t("deliveries.noAttempt")}
        </Text>
      ) : (
        <Timeline bulletSize={20} lineWidth={2} active={newestFirst.length}>
          {newestFirst.map((attempt) => (
            <AttemptItem key={`${attempt.attempt} ${attempt.at}`} attempt={attempt} />
          ))}
        </Timeline>
      )}
    </Box>
  );
}

const isSuccess = (attempt: Attempt) =>
  attempt.responseStatus !== null &&
  attempt.responseStatus >= 200 &&
  attempt.responseStatus < 300 &&
  attempt.errorMessage === null;

function AttemptItem({ attempt }: { attempt: Attempt }) {
  const t = useT();
  const format = useFormat();
  const fine = isSuccess(attempt);
  return (
    <Timeline.Item
      styles={{
        itemBullet: { background: fine ? "var(--ok)" : "var(--bad)", color: "var(--mantine-color-body)", border: 0 },
      }}
      bullet={<Icon name={fine ? "check" : "close"} size={12} />}
      title={
        <Text size="sm" fw={550} component="span">
          {t("deliveries.attempt", { number: attempt.attempt })}
          {attempt.responseStatus === null ? "" : ` · ${attempt.responseStatus}`}
          {attempt.durationMs === null ? "" : ` · ${format.milliseconds(attempt.durationMs)}`}
        </Text>
      }
    >
      <Text size="xs" c="dimmed">
        {format.time(attempt.at)}
      </Text>
      {attempt.errorMessage ? (
        <Text size="sm" mt={2}>
          <Ltr>{attempt.errorMessage}</Ltr>
        </Text>
      ) : null}
      {attempt.responseBody ? (
        <Box mt={6}>
          <Code
            text={attempt.responseBody}
            label={t("deliveries.answer", { number: attempt.attempt })}
            wrap
            max={160}
          />
        </Box>
      ) : null}
    </Timeline.Item>
  );
}

function Headers({ title, help, headers }: { title: string; help: string; headers: SentHeader[] }) {
  return (
    <Box>
      <Text fw={600} mb={2}>
        {title}
      </Text>
      <Text size="xs" c="dimmed" mb="xs">
        {help}
      </Text>
      <Code text={headers.map(({ name, value }) => `${name}: ${value}`).join("\n")} label={title} wrap />
    </Box>
  );
}

function Sent({ webhook, delivery }: { webhook: Webhook; delivery: DeliveryDetail }) {
  const t = useT();
  const [shape, setShape] = useState<"pretty" | "exact">("pretty");
  const last = delivery.attemptLog.at(-1);
  const own = ownHeadersOf(webhook);
  return (
    <>
      {last ? (
        <Headers
          title={t("deliveries.headers")}
          help={t("deliveries.headersHelp", { number: last.attempt })}
          headers={headersOf(delivery, last)}
        />
      ) : null}
      {own.length > 0 ? (
        <Headers title={t("deliveries.ownHeaders")} help={t("deliveries.ownHeadersHelp")} headers={own} />
      ) : null}
      <Box>
        <Group justify="space-between" mb="xs">
          <Text fw={600}>{t("deliveries.body")}</Text>
          {delivery.body === null ? null : (
            <SegmentedControl
              size="xs"
              aria-label={t("deliveries.bodyShape")}
              value={shape}
              onChange={(value) => setShape(value as typeof shape)}
              data={[
                { value: "pretty", label: t("deliveries.bodyPretty") },
                { value: "exact", label: t("deliveries.bodyExact") },
              ]}
            />
          )}
        </Group>
        {delivery.body === null ? (
          <Text size="sm" c="dimmed">
            {t("deliveries.bodyGone")}
          </Text>
        ) : (
          <Code
            text={shape === "pretty" ? pretty(delivery.body) : delivery.body}
            label={t("deliveries.body")}
            wrap={shape === "exact"}
          />
        )}
      </Box>
    </>
  );
}
