import type { Hour, Stats, StreamStatus } from "../api/types";

export type Sum = { attempts: number; successes: number; failures: number; deadLetters: number };

/** The day of a whole group: its webhooks' added up. */
export function sumOf(all: Stats[]): Sum & { byHour: Hour[] } {
  const hours = new Map<string, Hour>();
  const sum = { attempts: 0, successes: 0, failures: 0, deadLetters: 0 };
  for (const stats of all) {
    sum.attempts += stats.attempts;
    sum.successes += stats.successes;
    sum.failures += stats.failures;
    sum.deadLetters += stats.deadLetters;
    for (const hour of stats.byHour) {
      const before = hours.get(hour.hour);
      hours.set(hour.hour, {
        ...hour,
        attempts: hour.attempts + (before?.attempts ?? 0),
        successes: hour.successes + (before?.successes ?? 0),
        failures: hour.failures + (before?.failures ?? 0),
        // Percentiles do not add up: the chart says nothing of them.
        p50: null,
        p95: null,
        p99: null,
      });
    }
  }
  return { ...sum, byHour: [...hours.values()].sort((a, b) => a.hour.localeCompare(b.hour)) };
}

/** Below this much headroom an operator has to act today. */
const HEADROOM_LOW_SECONDS = 3 * 3600;

export type StreamTone = "ok" | "warn" | "bad";
export function toneOf(status: StreamStatus): StreamTone {
  if (status.oplogRemainingSeconds !== null && status.oplogRemainingSeconds < HEADROOM_LOW_SECONDS) return "bad";
  switch (status.state) {
    case "live":
      return "ok";
    case "behind":
    case "paused":
      return "warn";
    case "stopped":
      return "bad";
  }
}
