import { useMemo } from "react";
import { type Language, useLanguage } from "./index";

const LOCALES: Record<Language, string> = { en: "en-GB", he: "he-IL" };
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
] as const;

/** Without the marks that turn letters around: `gpj.exe` is not to be read as `exe.jpg`. */
export const unturned = (name: string) => name.replace(/[\u202a-\u202e\u2066-\u2069]/g, "");

/** A name among other words: it keeps its own direction, and its brackets and full stops their place. */
export const isolated = (name: string) => `\u2068${unturned(name)}\u2069`;

/** Code, or a text of a language that reads from left to right, among other words. */
export const ltr = (text: string) => `\u2066${text}\u2069`;

/** Letters that look like nothing at all. */
const BLANKS = /[\p{Cf}\u115f\u1160\u2800\u3164\uffa0]/gu;

/** A name as it is seen, and so may be typed: one shape of each letter, one space at a time, nothing invisible. */
export const asSeen = (name: string) => name.normalize("NFC").replace(BLANKS, "").replace(/\s+/g, " ").trim();

/** Numbers, times and durations in a language's words. */
export function formatting(language: Language) {
  const locale = LOCALES[language];
  const number = new Intl.NumberFormat(locale);
  const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
  const dateTime = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
  const exact = new Intl.DateTimeFormat(locale, {
    dateStyle: "full",
    timeStyle: "long",
  });
  const hour = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
  const unit = (value: number, of: string) => {
    const style = { style: "unit", unit: of, unitDisplay: "short", maximumFractionDigits: 1 } as const;
    const text = new Intl.NumberFormat(locale, style).format(value);
    // Some units are in Latin letters in every language: isolated, so that the number stays before them.
    return language === "he" ? isolated(text) : text;
  };

  return {
    number: (value: number) => number.format(value),
    /** All but all is not all: 99.96 % does not show as 100 %. */
    share: (part: number, of: number) =>
      of === 0 ? "–" : percent.format(part === of ? 1 : Math.min(0.999, Math.floor((part / of) * 1000) / 1000)),
    time: (iso: string) => dateTime.format(new Date(iso)),
    exact: (iso: string) => exact.format(new Date(iso)),
    hour: (iso: string) => hour.format(new Date(iso)),
    /** A time beside the present one: "3 min ago", "in 2 hr". */
    ago: (iso: string, now: number) => {
      const seconds = (new Date(iso).getTime() - now) / 1000;
      const [of, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
      return relative.format(Math.trunc(seconds / size), of);
    },
    milliseconds: (ms: number) => (ms < 1000 ? unit(Math.round(ms), "millisecond") : unit(ms / 1000, "second")),
    /** The two largest units: "1 hr 3 min". */
    duration: (seconds: number) => {
      const whole = Math.round(seconds);
      const parts: string[] = [];
      let left = whole;
      for (const [of, size] of UNITS) {
        const count = Math.floor(left / size);
        left -= count * size;
        if (count > 0) parts.push(unit(count, of));
        // Seconds beside days say nothing.
        if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
      }
      return parts.length > 0 ? parts.join(" ") : unit(0, "second");
    },
  };
}

export function useFormat() {
  const language = useLanguage();
  return useMemo(() => formatting(language), [language]);
}
