import { useMemo } from "react";
import type { DeliveryFilter } from "../api/calls";

/** How far back the time filter reaches: a window up to now, or fixed times from the URL. */
export const WINDOWS = { "1h": 3_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 } as const;
export type Window = keyof typeof WINDOWS;
const isWindow = (text: string): text is Window => text in WINDOWS;

export type Search = Omit<DeliveryFilter, "taskId"> & { task?: string };

/** The start of a window that ends now. */
export function sinceOf(since: string | undefined): string | undefined {
  if (!since || !isWindow(since)) return since;
  return new Date(Date.now() - WINDOWS[since] * 1000).toISOString();
}

/** What the server is asked for. A window begins where it began when it was chosen: a list that moved on would jump. */
export const useFilter = ({ status, eventType, task, since, until }: Search): DeliveryFilter =>
  useMemo(
    () => ({ status, eventType, taskId: task, since: sinceOf(since), until }),
    [status, eventType, task, since, until],
  );

export const isFiltered = ({ status, eventType, task, since, until }: Search) =>
  [status, eventType, task, since, until].some((value) => value !== undefined);

/** A time in the form that `<input type="datetime-local">` takes, and back. */
export const toLocalInput = (iso: string | undefined) => {
  if (!iso || isWindow(iso) || Number.isNaN(Date.parse(iso))) return "";
  const date = new Date(iso);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};
export const fromLocalInput = (text: string) => {
  const date = new Date(text);
  // Half typed, or in the year 20266.
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
};
