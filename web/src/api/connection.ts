import { useSyncExternalStore } from "react";

let answers = true;
const listeners = new Set<() => void>();

/** Whether the server answered when it was last asked. */
export const connection = {
  get: () => answers,
  set(now: boolean) {
    if (now === answers) return;
    answers = now;
    for (const listener of listeners) listener();
  },
  subscribe(listener: () => void) {
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  },
};

export const useAnswers = () => useSyncExternalStore(connection.subscribe, connection.get);
