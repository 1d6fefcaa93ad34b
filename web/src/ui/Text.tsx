import { ActionIcon, Box, Text, Tooltip } from "@mantine/core";
import type { ReactNode } from "react";
import { useT } from "../i18n";
import { unturned, useFormat } from "../i18n/format";
import { Icon } from "./Icon";
import { useCopy } from "./useCopy";
import { useNow } from "./useNow";

/** Ids, URLs and the like read from left to right in every language. */
export const Ltr = ({ children, mono, title }: { children: ReactNode; mono?: boolean; title?: string }) => (
  <bdi className={mono ? "ltr mono" : "ltr"} dir="ltr" title={title}>
    {children}
  </bdi>
);

/** What people have called something, in its own direction of writing. */
export const Name = ({ children }: { children: string }) => <bdi>{unturned(children)}</bdi>;

/** A URL's parts stand in their order, also where they are of letters that read from right to left. */
export const UrlParts = ({ url }: { url: string }) =>
  /[^ -~]/.test(url)
    ? url.split(/([^/.:?&=#]+)/).map((part, at) => (at % 2 === 0 ? part : <bdi key={at}>{part}</bdi>))
    : url;

/** The ends of an id, which tell it from others; the whole of it is its title. */
export const ShortId = ({ id }: { id: string }) => (
  <Ltr mono title={id}>
    {id.length > 16 ? `${id.slice(0, 6)}…${id.slice(-6)}` : id}
  </Ltr>
);

/**
 * A time as people say it; the exact one is its title. What happened is never said to be ahead, nor what is `due` to be over:
 * clocks differ, and the page's own is looked at every few seconds only.
 */
export function Ago({ at, due }: { at: string; due?: boolean }) {
  const format = useFormat();
  const now = useNow();
  const clamp = due ? Math.min : Math.max;
  return (
    <time dateTime={at} title={format.exact(at)}>
      {format.ago(at, clamp(now, Date.parse(at)))}
    </time>
  );
}

/** One value of a thing, under its name. */
export function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <Box style={{ minWidth: 0 }}>
      <Text size="xs" c="dimmed">
        {label}
      </Text>
      <Text size="sm" component="div">
        {children}
      </Text>
    </Box>
  );
}

export function Copy({ text, label }: { text: string; label?: string }) {
  const t = useT();
  const { state, copy } = useCopy();
  const what = label ?? t("common.copy");
  const said = { copied: t("common.copied"), failed: t("common.notCopied") };
  const colours = { copied: "teal", failed: "red" };
  return (
    <Tooltip label={state ? said[state] : what} opened={state === "failed" || undefined}>
      <ActionIcon variant="subtle" color={state ? colours[state] : "gray"} aria-label={what} onClick={() => copy(text)}>
        <Icon name={state === "copied" ? "check" : "copy"} size={16} />
      </ActionIcon>
    </Tooltip>
  );
}

/** A text to be copied as it is; scrollable with the keyboard too. */
export function Code({ text, label, wrap, max = 360 }: { text: string; label: string; wrap?: boolean; max?: number }) {
  return (
    <div style={{ position: "relative" }}>
      <section aria-label={label}>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard */}
        <pre className="code" data-wrap={wrap || undefined} tabIndex={0} style={{ maxHeight: max, paddingRight: 44 }}>
          {text}
        </pre>
      </section>
      <div style={{ position: "absolute", top: 6, right: 6 }}>
        <Copy text={text} />
      </div>
    </div>
  );
}
