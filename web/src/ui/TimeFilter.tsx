import { Group, NativeSelect } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { WINDOWS } from "../deliveries/filter";
import { useT } from "../i18n";
import { TimeField } from "./TimeField";

type Times = { since?: string; until?: string };

const isFixed = ({ since, until }: Times) => (since !== undefined && !(since in WINDOWS)) || until !== undefined;

/** The last hour, day, week; or from one time to another. */
export function TimeFilter({ since, until, onChange }: Times & { onChange: (times: Times) => void }) {
  const t = useT();
  const [fixed, setFixed] = useState(() => isFixed({ since, until }));
  const said = useRef<Times>({ since, until });
  // Fields that were emptied one by one stay; those that a change from outside has emptied go.
  useEffect(() => {
    if (since === said.current.since && until === said.current.until) return;
    said.current = { since, until };
    setFixed(isFixed(said.current));
  }, [since, until]);
  const put = (change: Times) => {
    said.current = { ...said.current, ...change };
    onChange(change);
  };
  const choose = (chosen: string) => {
    setFixed(chosen === "fixed");
    const begin = chosen === "fixed" ? new Date(Date.now() - 86_400_000).toISOString() : chosen || undefined;
    put({ since: begin, until: undefined });
  };
  return (
    <Group gap="xs" align="flex-end">
      <NativeSelect
        aria-label={t("time.label")}
        value={fixed ? "fixed" : (since ?? "")}
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
          <TimeField label={t("time.since")} value={since} onChange={(time) => put({ since: time })} />
          <TimeField label={t("time.until")} value={until} onChange={(time) => put({ until: time })} />
        </>
      ) : null}
    </Group>
  );
}
