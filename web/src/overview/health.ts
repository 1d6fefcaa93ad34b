import type { StreamStatus } from "../api/types";

/** Below this much headroom an operator has to act today. */
const HEADROOM_LOW_SECONDS = 3 * 3600;

export type StreamTone = "ok" | "warn" | "bad";

/** Pausing holds deliveries back, but loses nothing; what is not read in time is lost. */
export function toneOf({ state, paused, oplogRemainingSeconds: left }: StreamStatus): StreamTone {
  if (state === "stopped" || (left !== null && left < HEADROOM_LOW_SECONDS)) return "bad";
  return state === "behind" || paused ? "warn" : "ok";
}
