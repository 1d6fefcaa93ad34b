import { type Inbound, type InboundChange, SCOPES } from "../api/types";

/** What the form holds; a rate as it is typed. */
export type Fields = Required<Pick<InboundChange, "enabled" | "scopes" | "ipAllowlist">> & {
  rateLimitPerMinute: number | null;
};
export type Field = keyof Fields;

export const FIELDS = ["enabled", "scopes", "ipAllowlist", "rateLimitPerMinute"] as const satisfies Field[];

/** Calls a minute, at most. */
export const RATE_MAX = 60_000;

export const fieldsOf = ({ enabled, scopes, ipAllowlist, rateLimitPerMinute }: Inbound): Fields => ({
  enabled,
  scopes: SCOPES.filter((scope) => scopes.includes(scope)),
  ipAllowlist,
  rateLimitPerMinute,
});

export const isFaultyRate = (rate: number | null) =>
  rate === null || !Number.isInteger(rate) || rate < 1 || rate > RATE_MAX;

const isSame = (one: Fields, other: Fields, field: Field) =>
  field === "rateLimitPerMinute"
    ? String(one[field]) === String(other[field])
    : JSON.stringify(one[field]) === JSON.stringify(other[field]);

export const differences = (from: Fields, to: Fields): Field[] => FIELDS.filter((field) => !isSame(from, to, field));

/** What somebody else changed meanwhile, and to something else than is entered here. */
export const conflicts = (from: Fields, mine: Fields, theirs: Fields): Field[] =>
  differences(from, theirs).filter((field) => !isSame(mine, theirs, field));

export const changeOf = (fields: Fields, only: readonly Field[]): InboundChange => {
  const all = { ...fields, rateLimitPerMinute: Number(fields.rateLimitPerMinute) };
  return Object.fromEntries(only.map((field) => [field, all[field]]));
};
