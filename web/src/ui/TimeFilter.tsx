import { Group, NativeSelect, TextInput } from "@mantine/core";
import { fromLocalInput, toLocalInput, WINDOWS } from "../deliveries/filter";
import { useT } from "../i18n";

type Times = { since?: string; until?: string };

/** The last hour, day, week; or from one time to another. */
export function TimeFilter({ since, until, onChange }: Times & { onChange: (times: Times) => void }) {
  const t = useT();
  const fixed = (since !== undefined && !(since in WINDOWS)) || until !== undefined;
  const value = fixed ? "fixed" : (since ?? "");
  const choose = (chosen: string) => {
    if (chosen === "fixed") onChange({ since: new Date(Date.now() - 86_400_000).toISOString(), until: undefined });
    else onChange({ since: chosen || undefined, until: undefined });
  };
  return (
    <Group gap="xs" align="flex-end">
      <NativeSelect
        aria-label={t("time.label")}
        value={value}
        onChange={(event) => choose(event.currentTarget.value)}
        data={[
          { value: "", label: t("time.any") },
          { value: "1h", label: t("time.1h") },
          { value: "24h", label: t("time.24h") },
          { value: "7d", label: t("time.7d") },
          { value: "30d", label: t("time.30d") },
          { value: "fixed", label: t("time.fixed") },
        ]}
      />
      {fixed ? (
        <>
          <TextInput
            type="datetime-local"
            aria-label={t("time.since")}
            value={toLocalInput(since)}
            onChange={(event) => onChange({ since: fromLocalInput(event.currentTarget.value), until })}
          />
          <TextInput
            type="datetime-local"
            aria-label={t("time.until")}
            value={toLocalInput(until)}
            onChange={(event) => onChange({ since, until: fromLocalInput(event.currentTarget.value) })}
          />
        </>
      ) : null}
    </Group>
  );
}
