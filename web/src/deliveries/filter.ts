import type { DeliveryFilter } from "../api/calls";

/** How far back the time filter reaches: a moving window, or fixed times from the URL. */
export const WINDOWS = { "1h": 3_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 } as const;
export type Window = keyof typeof WINDOWS;
const isWindow = (text: string): text is Window => text in WINDOWS;

type Search = Omit<DeliveryFilter, "taskId"> & { task?: string };

/** The start of a moving window is cut to its minute, so that the query stays the same between two looks. */
export function sinceOf(since: string | undefined, now: number): string | undefined {
  if (!since || !isWindow(since)) return since;
  const start = now - WINDOWS[since] * 1000;
  return new Date(Math.floor(start / 60_000) * 60_000).toISOString();
}

export const filterOf = (search: Search, now: number): DeliveryFilter => ({
  status: search.status,
  eventType: search.eventType,
  taskId: search.task,
  since: sinceOf(search.since, now),
  until: search.until,
});

export const isFiltered = ({ status, eventType, task, since, until }: Search) =>
  [status, eventType, task, since, until].some((value) => value !== undefined);

/** A time in the form that `<input type="datetime-local">` takes, and back. */
export const toLocalInput = (iso: string | undefined) => {
  if (!iso || isWindow(iso) || Number.isNaN(Date.parse(iso))) return "";
  const date = new Date(iso);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};
export const fromLocalInput = (text: string) => (text === "" ? undefined : new Date(text).toISOString());
