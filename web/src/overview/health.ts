import type { StreamStatus } from "../api/types";

/** Below this much headroom an operator has to act today. */
const HEADROOM_LOW_SECONDS = 3 * 3600;

export type StreamTone = "ok" | "warn" | "bad";

export const isLow = ({ oplogRemainingSeconds: left }: StreamStatus) => left !== null && left < HEADROOM_LOW_SECONDS;

/** Pausing holds deliveries back, but loses nothing; what is not read in time is lost. */
export function toneOf(status: StreamStatus): StreamTone {
  const { state, paused } = status;
  if (state === "stopped" || isLow(status)) return "bad";
  return state === "behind" || paused ? "warn" : "ok";
}
