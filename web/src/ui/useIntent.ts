import { useRef } from "react";

/** Browsers offer `randomUUID` to pages over https only. */
const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * Sends what is meant to be done once under a key of its own, and under the same key when it is tried again: its answer may
 * have been lost on the way. Something else that is meant, or the same once more after it was done, has another key.
 */
export function useIntent() {
  const open = useRef(new Map<string, string>());
  return async <T>(meant: unknown, send: (key: string) => Promise<T>): Promise<T> => {
    const what = JSON.stringify(meant);
    const key = open.current.get(what) ?? newKey();
    open.current.set(what, key);
    const answer = await send(key);
    open.current.delete(what);
    return answer;
  };
}
