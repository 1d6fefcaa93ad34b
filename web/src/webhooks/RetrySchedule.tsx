import { Box, Group, Text } from "@mantine/core";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { total, waits } from "./checks";

const isWithin = (value: number, max: number) => Number.isInteger(value) && value >= 1 && value <= max;

/** What a retry policy comes to, in words and as waits one after the other. */
export function RetrySchedule({ maxAttempts, backoffSeconds }: { maxAttempts: number; backoffSeconds: number }) {
  const t = useT();
  const format = useFormat();
  if (!isWithin(maxAttempts, 20) || !isWithin(backoffSeconds, 86_400)) return null;
  const list = waits(maxAttempts, backoffSeconds);
  return (
    <Box mt="md" p="sm" style={{ background: "var(--info-soft)", borderRadius: 8 }} role="status">
      <Text size="sm" fw={600} c="var(--info)" data-testid="schedule">
        {list.length === 0
          ? t("form.noRetries")
          : t("form.schedule", { count: list.length, duration: format.duration(total(list)) })}
      </Text>
      {list.length > 0 ? (
        <Group gap={6} mt={6}>
          {list.map((wait, index) => (
            <Text
              key={index}
              size="xs"
              className="tag"
              style={{ borderColor: "transparent", background: "var(--mantine-color-body)" }}
            >
              {format.duration(wait)}
            </Text>
          ))}
        </Group>
      ) : null}
    </Box>
  );
}
