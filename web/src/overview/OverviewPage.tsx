import { Box, Group, SimpleGrid, Skeleton, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { queries } from "../api/queries";
import type { Hour, Stats, StreamStatus, Webhook } from "../api/types";
import { useGroup } from "../app/group";
import { fetched } from "../app/lazyPage";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { HealthBadge } from "../ui/Badges";
import { Page } from "../ui/Page";
import { Empty, Failure, Loaded } from "../ui/States";
import { Ltr, Name } from "../ui/Text";
import { useNow } from "../ui/useNow";
import { NewButton } from "../webhooks/NewButton";
import { isLow, toneOf } from "./health";

export function OverviewPage() {
  const t = useT();
  const group = useGroup();
  const webhooks = useQuery(queries.webhooks(group));
  return (
    <Page title={t("overview.title")} lead={t("overview.lead")}>
      <Stream />
      <Loaded of={webhooks}>{(all) => (all.length === 0 ? <Begin /> : <Day webhooks={all} group={group} />)}</Loaded>
    </Page>
  );
}

function Begin() {
  const t = useT();
  return (
    <Box className="surface">
      <Empty icon="hook" title={t("overview.begin")} text={t("overview.beginDetail")} action={<NewButton />} />
    </Box>
  );
}

/** Whether changes arrive, in plain words. What was so when it was last known is not said as if it were so now. */
function Stream() {
  const t = useT();
  const status = useQuery(queries.status());
  if (status.data && !status.error) return <StreamLine status={status.data} />;
  if (status.error) {
    return (
      <Box mb="md">
        <Failure error={status.error} retry={() => status.refetch()} />
      </Box>
    );
  }
  return <Skeleton height={64} radius="md" mb="md" aria-label={t("state.loading")} role="status" />;
}

const COLOURS = { ok: "var(--ok)", warn: "var(--warn)", bad: "var(--bad)" };

export function StreamLine({ status }: { status: StreamStatus }) {
  const t = useT();
  const tone = toneOf(status);
  return (
    <Group className="surface" p="md" mb="md" gap="md" wrap="nowrap" role="status" data-testid="stream">
      <Box
        aria-hidden
        w={12}
        h={12}
        style={{
          flex: "none",
          borderRadius: "50%",
          background: COLOURS[tone],
          boxShadow: `0 0 0 5px var(--${tone}-soft)`,
        }}
      />
      <Box>
        <Text fw={600}>{useStreamWords(status)}</Text>
        <Text size="sm" c="dimmed">
          {useHeadroomWords(status)}
        </Text>
        {status.paused ? (
          <Text size="sm" c="var(--warn)">
            {t("overview.paused")}
          </Text>
        ) : null}
      </Box>
    </Group>
  );
}

function useStreamWords({ state, lagSeconds, at }: StreamStatus): string {
  const t = useT();
  const format = useFormat();
  const now = useNow();
  switch (state) {
    case "live":
    case "behind": {
      const lag = lagSeconds ?? 0;
      return t(`overview.stream.${state}`, { lag: lag < 1 ? format.milliseconds(lag * 1000) : format.duration(lag) });
    }
    case "stopped":
      return at
        ? t("overview.stream.stopped", { time: format.duration(Math.max(0, now - Date.parse(at)) / 1000) })
        : t("overview.stream.never");
  }
}

function useHeadroomWords(status: StreamStatus): string {
  const { state, oplogRemainingSeconds: left } = status;
  const t = useT();
  const format = useFormat();
  if (left === null) return t("overview.headroomUnknown");
  const time = format.duration(left);
  if (state !== "live") return t("overview.headroomLosing", { time });
  return t(isLow(status) ? "overview.headroomLow" : "overview.headroom", { time });
}

function Day({ webhooks, group }: { webhooks: Webhook[]; group: string }) {
  const t = useT();
  const all = useQuery(queries.groupStats(group));
  const each = useQuery(queries.statsOfEach(group));
  if (all.error && !all.data) return <Failure error={all.error} retry={() => all.refetch()} />;
  return (
    <>
      <Tiles stats={all.data} />
      <Box className="surface" p={{ base: "md", sm: "lg" }} mb="md">
        <Text fw={600} component="h2" m={0}>
          {t("overview.byHour")}
        </Text>
        {all.data ? <Hours hours={all.data.byHour} /> : <Skeleton height={250} mt="md" />}
      </Box>
      <PerWebhook webhooks={webhooks} stats={each.data} />
    </>
  );
}

/** The drawing, which is loaded when it is first shown. */
function Hours({ hours }: { hours: Hour[] }) {
  const drawing = useQuery({
    queryKey: ["HourChart"],
    queryFn: () => fetched(() => import("./HourChart")),
    staleTime: Number.POSITIVE_INFINITY,
    structuralSharing: false,
  });
  if (drawing.error) return <Failure error={drawing.error} retry={() => drawing.refetch()} />;
  if (!drawing.data) return <Skeleton height={250} mt="md" />;
  const { HourChart } = drawing.data;
  return <HourChart hours={hours} />;
}

function Tiles({ stats }: { stats: Stats | undefined }) {
  const t = useT();
  const format = useFormat();
  const ms = useMilliseconds();
  const { attempts = 0, successes = 0, failures = 0, deadLetters = 0, latencyMs } = stats ?? {};
  const waiting = stats === undefined;
  return (
    <SimpleGrid cols={{ base: 2, md: 4 }} spacing="md" mb="md">
      <Tile label={t("overview.attempts")} waiting={waiting} value={format.number(attempts)} note={t("overview.day")} />
      <Tile
        label={t("overview.success")}
        waiting={waiting}
        value={format.share(successes, attempts)}
        note={failures > 0 ? t("overview.failures", { count: failures }) : t("overview.noFailure")}
      />
      <Tile
        label={t("overview.latency")}
        waiting={waiting}
        value={ms(latencyMs?.p50)}
        note={<Ltr>{`p95 ${ms(latencyMs?.p95)} · p99 ${ms(latencyMs?.p99)}`}</Ltr>}
      />
      <Tile
        label={t("overview.deadLetters")}
        waiting={waiting}
        value={format.number(deadLetters)}
        tone={deadLetters > 0 ? "var(--bad)" : undefined}
        note={t(deadLetters > 0 ? "overview.deadLettersSome" : "overview.deadLettersNone")}
      />
    </SimpleGrid>
  );
}

function useMilliseconds() {
  const format = useFormat();
  return (value: number | null | undefined) => (value == null ? "–" : format.milliseconds(value));
}

type TileProps = { label: string; value: ReactNode; note?: ReactNode; tone?: string; waiting: boolean };

function Tile({ label, value, note, tone, waiting }: TileProps) {
  return (
    <Box className="surface" p="md">
      <Text size="sm" c="dimmed">
        {label}
      </Text>
      {waiting ? (
        <Skeleton height={28} width={80} my={6} />
      ) : (
        <Text fz={27} fw={650} lh={1.35} c={tone} style={{ letterSpacing: "-0.02em" }}>
          {value}
        </Text>
      )}
      <Text size="xs" c="dimmed" mih={18}>
        {waiting ? "" : note}
      </Text>
    </Box>
  );
}

function PerWebhook({ webhooks, stats }: { webhooks: Webhook[]; stats: Map<string, Stats> | undefined }) {
  const t = useT();
  const format = useFormat();
  const ms = useMilliseconds();
  return (
    <Box className="surface" style={{ overflowX: "auto" }}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls on narrow screens, with the keyboard too */}
      <section aria-label={t("overview.perWebhook")} tabIndex={0}>
        <table className="rows">
          <thead>
            <tr>
              <th scope="col">{t("webhooks.column.name")}</th>
              <th scope="col">{t("webhooks.column.health")}</th>
              <th scope="col">{t("overview.attempts")}</th>
              <th scope="col">{t("overview.success")}</th>
              <th scope="col">p50</th>
              <th scope="col">p95</th>
              <th scope="col">p99</th>
              <th scope="col">{t("overview.deadLetters")}</th>
            </tr>
          </thead>
          <tbody>
            {webhooks.map((webhook) => {
              const one = stats?.get(webhook.id);
              return (
                <tr key={webhook.id}>
                  <td>
                    <Link className="link" to="/webhooks/$webhookId" params={{ webhookId: webhook.id }}>
                      <Name>{webhook.name}</Name>
                    </Link>
                  </td>
                  <td>
                    <HealthBadge webhook={webhook} />
                  </td>
                  <td>{stats ? format.number(one?.attempts ?? 0) : "–"}</td>
                  <td>{one ? format.share(one.successes, one.attempts) : "–"}</td>
                  <td>{ms(one?.latencyMs.p50)}</td>
                  <td>{ms(one?.latencyMs.p95)}</td>
                  <td>{ms(one?.latencyMs.p99)}</td>
                  <td>
                    {one && one.deadLetters > 0 ? (
                      <Link
                        className="link"
                        to="/webhooks/$webhookId"
                        params={{ webhookId: webhook.id }}
                        search={{ status: "dead-letter" }}
                      >
                        {format.number(one.deadLetters)}
                      </Link>
                    ) : stats ? (
                      format.number(0)
                    ) : (
                      "–"
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
    </Box>
  );
}
