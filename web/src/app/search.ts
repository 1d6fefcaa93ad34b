import { DELIVERY_STATUSES, EVENT_TYPES } from "../api/types";

/** Search parameters as a URL brings them: texts, of which each page takes what it knows. What it does not is left out. */
type Raw = Record<string, unknown>;

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
const oneOf = <T extends string>(values: readonly T[], value: unknown): T | undefined =>
  values.find((known) => known === value);

/**
 * So that keys may be left out in links. A key without a value is kept all the same: it takes the place of what the URL says,
 * which the router would carry on beside it.
 */
type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };
const given = <T extends object>(search: T) => search as Given<T>;

const times = (raw: Raw) => ({ since: text(raw.since), until: text(raw.until) });

export const groupSearch = (raw: Raw) => given({ group: text(raw.group) });

export const listSearch = (raw: Raw) =>
  given({ q: text(raw.q), health: oneOf(["healthy", "failing", "disabled"] as const, raw.health) });

export const webhookSearch = (raw: Raw) =>
  given({
    tab: oneOf(["deliveries", "settings", "secret"] as const, raw.tab),
    status: oneOf(DELIVERY_STATUSES, raw.status),
    eventType: oneOf(EVENT_TYPES, raw.eventType),
    task: text(raw.task),
    delivery: text(raw.delivery),
    ...times(raw),
  });

export const eventsSearch = (raw: Raw) =>
  given({ task: text(raw.task), eventType: oneOf(EVENT_TYPES, raw.eventType), event: text(raw.event), ...times(raw) });

/** Values are texts as they stand: an id that looks like a number stays what it is. */
export const parseSearch = (search: string): Raw => Object.fromEntries(new URLSearchParams(search));

export function stringifySearch(search: Raw): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (value !== undefined && value !== null && value !== "") params.set(name, String(value));
  }
  const shown = params.toString();
  return shown ? `?${shown}` : "";
}
