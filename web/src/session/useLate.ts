import { useEffect, useState } from "react";

/** How long the embedding page has to bring a token before its absence is said. */
const PATIENCE_MS = 8_000;

/** Whether the host has been waited for long enough; the wait begins anew with another `turn`. */
export function useLate(turn = 0) {
  const [late, setLate] = useState(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new turn is a new wait
  useEffect(() => {
    setLate(false);
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [turn]);
  return late;
}
