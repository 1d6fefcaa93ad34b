import { useSyncExternalStore } from "react";

const EVERY_MS = 5_000;
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function subscribe(listener: () => void) {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const one of listeners) one();
  }, EVERY_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** Renewed where no timer has kept it, but never from one look to the next: it must not change by being looked at. */
function look() {
  if (timer === undefined && Date.now() - now > EVERY_MS) now = Date.now();
  return now;
}

/** The present time, renewed every few seconds, the same for all who ask. */
export const useNow = () => useSyncExternalStore(subscribe, look);
