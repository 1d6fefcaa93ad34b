import { Alert, Box, Button, Group, PasswordInput, SimpleGrid, Stack, Text, Textarea } from "@mantine/core";
import { useEffect, useState } from "react";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { Badge } from "../ui/Badges";
import { Icon } from "../ui/Icon";
import { Page, Section } from "../ui/Page";
import { Code, Ltr } from "../ui/Text";
import { useNow } from "../ui/useNow";
import { type Finding, hints, type Inspection, inspect, MAX_SKEW_SECONDS, type Pasted } from "./verify";

const NOTHING: Pasted = { headers: "", body: "", secrets: ["", ""] };
const mono = {
  input: { direction: "ltr" as const, fontFamily: "var(--mantine-font-family-monospace)", fontSize: 12.5 },
};

export function SignaturePage() {
  const t = useT();
  const [pasted, setPasted] = useState(NOTHING);
  const [inspection, setInspection] = useState<Inspection | null>(null);
  const now = useNow();

  useEffect(() => {
    let current = true;
    void inspect(pasted, now).then((found) => {
      if (current) setInspection(found);
    });
    return () => {
      current = false;
    };
  }, [pasted, now]);

  const put = (change: Partial<Pasted>) => setPasted((before) => ({ ...before, ...change }));
  const secret = (index: number, value: string) =>
    put({ secrets: pasted.secrets.map((one, at) => (at === index ? value : one)) });

  return (
    <Page title={t("signature.title")} lead={t("signature.lead")}>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Section title={t("signature.request")}>
          <Stack>
            <Textarea
              label={t("signature.headers")}
              description={t("signature.headersHelp")}
              placeholder={"X-Timestamp: 1765802096\nX-Signature: sha256=5ec8b0…"}
              rows={6}
              spellCheck={false}
              styles={mono}
              value={pasted.headers}
              onChange={(event) => put({ headers: event.currentTarget.value })}
            />
            <Textarea
              label={t("signature.body")}
              description={t("signature.bodyHelp")}
              placeholder='{"id":"evt_…","event":"task.completed",…}'
              rows={6}
              spellCheck={false}
              styles={mono}
              value={pasted.body}
              onChange={(event) => put({ body: event.currentTarget.value })}
            />
            <PasswordInput
              label={t("signature.secret")}
              placeholder="whsec_…"
              autoComplete="off"
              styles={mono}
              visibilityToggleButtonProps={{ "aria-label": t("form.secretShow") }}
              value={pasted.secrets[0]}
              onChange={(event) => secret(0, event.currentTarget.value)}
            />
            <PasswordInput
              label={t("signature.secretOther")}
              autoComplete="off"
              styles={mono}
              visibilityToggleButtonProps={{ "aria-label": t("form.secretShow") }}
              value={pasted.secrets[1]}
              onChange={(event) => secret(1, event.currentTarget.value)}
            />
            <Group>
              <Button variant="default" size="xs" onClick={() => setPasted(NOTHING)}>
                {t("signature.clear")}
              </Button>
              <Text size="xs" c="dimmed">
                {t("signature.local")}
              </Text>
            </Group>
          </Stack>
        </Section>
        <Section title={t("signature.result")}>
          {inspection ? <Result inspection={inspection} pasted={pasted} /> : null}
        </Section>
      </SimpleGrid>
    </Page>
  );
}

function Result({ inspection, pasted }: { inspection: Inspection; pasted: Pasted }) {
  const t = useT();
  const untouched = pasted.headers === "" && pasted.body === "" && pasted.secrets.every((secret) => secret === "");
  if (untouched) {
    return (
      <Text size="sm" c="dimmed">
        {t("signature.begin")}
      </Text>
    );
  }
  return (
    <Stack>
      {inspection.missing.length > 0 ? (
        <Alert color="gray" icon={<Icon name="list" size={16} />} role="status">
          {inspection.missing.map((what) => (
            <Text size="sm" key={what}>
              {t(`signature.missing.${what}`)}
            </Text>
          ))}
        </Alert>
      ) : null}
      {inspection.skew === null ? null : <Skew skew={inspection.skew} />}
      {inspection.findings.map((finding) => (
        <FindingBox key={finding.scheme} finding={finding} />
      ))}
      {pasted.secrets.some((secret) => secret.trim() !== "")
        ? hints(inspection, pasted).map((hint) => (
            <Alert key={hint} color="yellow" icon={<Icon name="alert" size={16} />}>
              {t(`signature.hint.${hint}`)}
            </Alert>
          ))
        : null}
    </Stack>
  );
}

function Skew({ skew }: { skew: number }) {
  const t = useT();
  const format = useFormat();
  const fine = Math.abs(skew) <= MAX_SKEW_SECONDS;
  const time = format.duration(Math.abs(skew));
  return (
    <Group gap="sm" role="status">
      <Badge tone={fine ? "ok" : "warn"}>{t(fine ? "signature.fresh" : "signature.stale")}</Badge>
      <Text size="sm">{t(skew >= 0 ? "signature.behind" : "signature.ahead", { time })}</Text>
    </Group>
  );
}

function FindingBox({ finding }: { finding: Finding }) {
  const t = useT();
  const { match } = finding;
  return (
    <Box p="sm" style={{ border: "1px solid var(--line)", borderRadius: 8 }} data-testid={finding.scheme}>
      <Group gap="sm" mb="xs" role="status">
        <Ltr mono>{finding.scheme}</Ltr>
        {finding.expected.length === 0 ? null : match ? (
          <>
            <Badge tone="ok">{t("signature.valid")}</Badge>
            <Text size="sm">{t("signature.matched", { secret: match.secret + 1, value: match.value + 1 })}</Text>
          </>
        ) : (
          <Badge tone="bad">{t("signature.invalid")}</Badge>
        )}
      </Group>
      <Text size="xs" c="dimmed" mb={4}>
        {t("signature.signed")}
      </Text>
      <Code text={finding.signed} label={t("signature.signed")} wrap max={130} />
      {match || finding.expected.length === 0 ? null : (
        <>
          <Text size="xs" c="dimmed" mt="xs" mb={4}>
            {t("signature.expected")}
          </Text>
          <Code text={finding.expected.filter(Boolean).join("\n")} label={t("signature.expected")} wrap />
        </>
      )}
    </Box>
  );
}
