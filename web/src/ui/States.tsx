import { Alert, Box, Button, Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { isStatus, Problem, Unreachable } from "../api/problem";
import { useT } from "../i18n";
import { useErrorText } from "./errorText";
import { Icon, type IconName } from "./Icon";
import { Copy, Ltr } from "./Text";

/** Nothing is here, and what to do next. */
export function Empty({
  icon,
  title,
  text,
  action,
  order = 2,
}: {
  icon: IconName;
  title: string;
  text: string;
  action?: ReactNode;
  /** Of its heading: 1 where it is all that the page has. */
  order?: 1 | 2;
}) {
  return (
    <Stack align="center" gap="xs" py={56} px="md" ta="center">
      <Box c="var(--info)" bg="var(--info-soft)" p={12} style={{ borderRadius: 14, lineHeight: 0 }}>
        <Icon name={icon} size={26} />
      </Box>
      <Title order={order} size="h4" mt={6}>
        {title}
      </Title>
      <Text c="dimmed" maw={460} size="sm">
        {text}
      </Text>
      {action ? <Box mt="sm">{action}</Box> : null}
    </Stack>
  );
}

/** What went wrong, and another try. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const t = useT();
  const { title, detail } = useErrorText()(error);
  if (isStatus(error, 403)) return <Empty icon="shield" title={title} text={detail} />;
  const requestId = error instanceof Problem && error.status >= 500 ? error.requestId : null;
  return (
    <Alert
      color="red"
      variant="light"
      icon={<Icon name={error instanceof Unreachable ? "offline" : "alert"} />}
      title={title}
    >
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{detail}</Text>
        {requestId ? (
          <Group gap={4}>
            <Text size="xs" c="dimmed">
              {t("state.requestId")} <Ltr mono>{requestId}</Ltr>
            </Text>
            <Copy text={requestId} label={t("state.copyRequestId")} />
          </Group>
        ) : null}
        {retry ? (
          <Button size="xs" variant="default" onClick={retry} leftSection={<Icon name="replay" size={14} />}>
            {t("state.retry")}
          </Button>
        ) : null}
      </Stack>
    </Alert>
  );
}

/** Rows to come. */
export function Waiting({ rows = 5, height = 52 }: { rows?: number; height?: number }) {
  const t = useT();
  return (
    <Stack gap={1} role="status" aria-label={t("state.loading")} p="sm">
      {Array.from({ length: rows }, (_, row) => (
        <Skeleton key={row} height={height - 12} my={5} radius="sm" style={{ opacity: 1 - row * 0.13 }} />
      ))}
    </Stack>
  );
}

type Asked<T> = { data: T | undefined; error: unknown; isPending: boolean; refetch: () => unknown };

/** What was asked for, or what stands in its place. Data that is there stays while a refresh fails. */
export function Loaded<T>({ of, rows, children }: { of: Asked<T>; rows?: number; children: (data: T) => ReactNode }) {
  if (of.data !== undefined) return children(of.data);
  if (of.error) return <Failure error={of.error} retry={() => of.refetch()} />;
  return <Waiting rows={rows} />;
}
