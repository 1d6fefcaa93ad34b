import { useSyncExternalStore } from "react";
import { SignedOut } from "../api/problem";

/** Who is signed in. The token lives here, in memory, and nowhere else. */
export type Session = {
  token: string | null;
  /** The server has taken this token at least once. */
  taken: boolean;
  /** The token ran out (or the server says so) and another one is awaited; what is on the page stays. */
  renewing: boolean;
  /** Shown inside the task service's page, which brings token, group, language and theme. */
  embedded: boolean;
};

let state: Session = { token: null, taken: false, renewing: false, embedded: false };
const listeners = new Set<() => void>();
/** Calls that wait for a new token. */
let waiting: { resolve: (token: string) => void; reject: (error: Error) => void }[] = [];
let askForToken: (() => void) | null = null;

function set(change: Partial<Session>) {
  state = { ...state, ...change };
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}

export const session = {
  get: () => state,
  subscribe,

  signIn(token: string) {
    set({ token, taken: token === state.token && state.taken, renewing: false });
    const released = waiting;
    waiting = [];
    for (const one of released) one.resolve(token);
  },

  signOut() {
    set({ token: null, taken: false, renewing: false });
    const released = waiting;
    waiting = [];
    for (const one of released) one.reject(new SignedOut());
  },

  /** The server has answered to this token. */
  take(token: string) {
    if (token === state.token && !state.taken) set({ taken: true });
  },

  /** A token other than `stale`: the host is asked for it, or the person at the page. */
  renew(stale: string): Promise<string> {
    if (state.token && state.token !== stale) return Promise.resolve(state.token);
    if (!state.token) return Promise.reject(new SignedOut());
    return new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      if (!state.renewing) {
        set({ renewing: true });
        askForToken?.();
      }
    });
  },

  /** The host has not heard, or not answered. */
  askAgain() {
    if (state.renewing) askForToken?.();
  },

  embed(ask: () => void) {
    askForToken = ask;
    set({ embedded: true });
  },
};

export const useSession = () => useSyncExternalStore(subscribe, session.get);
