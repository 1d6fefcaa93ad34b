import { Group, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { api } from "../api/calls";
import type { Webhook } from "../api/types";
import { useT } from "../i18n";
import { Badge } from "../ui/Badges";
import { BusyButton } from "../ui/BusyButton";
import { Icon } from "../ui/Icon";
import { Section } from "../ui/Page";
import { Failure } from "../ui/States";

/** Tries the partner's own checks: a good request, and those that it should refuse. */
export function ReceiverCheck({ webhook }: { webhook: Webhook }) {
  const t = useT();
  const check = useMutation({ mutationFn: () => api.verifyReceiver(webhook.id) });
  const results = check.data?.results;
  return (
    <Section title={t("check.title")} text={t("check.text")}>
      <BusyButton
        variant="default"
        busy={check.isPending}
        leftSection={<Icon name="shield" size={15} />}
        onClick={() => check.mutate()}
      >
        {t(results ? "check.again" : "check.run")}
      </BusyButton>
      {check.error ? (
        <div style={{ marginTop: 16 }}>
          <Failure error={check.error} />
        </div>
      ) : null}
      {results ? (
        <div role="status" style={{ marginTop: 16 }}>
          {results.map((result) => (
            <Group key={result.case} gap="sm" py={8} style={{ borderTop: "1px solid var(--line)" }}>
              <Badge tone={result.ok ? "ok" : "bad"}>{t(result.ok ? "check.ok" : "check.wrong")}</Badge>
              <Text size="sm" fw={550}>
                {t(`check.case.${result.case}`)}
              </Text>
              <Text size="sm" c="dimmed">
                {t("check.expectedGot", { expected: t(`check.verdict.${result.expected}`), got: result.got })}
              </Text>
            </Group>
          ))}
        </div>
      ) : null}
    </Section>
  );
}
