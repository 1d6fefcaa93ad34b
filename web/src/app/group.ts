import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { createContext, useContext, useMemo } from "react";
import { queries } from "../api/queries";
import type { OwnGroup } from "../api/types";
import { useLanguage } from "../i18n";
import { useSession } from "../session/session";
import type { createAppRouter } from "./router";
import { groupSearch } from "./search";

/** The group that the page shows; there is one wherever pages are shown. */
export const GroupContext = createContext<OwnGroup>({ id: "", name: null });
export const useGroup = () => useContext(GroupContext).id;

/** The server lists no more. Of somebody who administers more, a group that is not listed may still be theirs. */
const LISTED_MAX = 200;

/** Ids of hexadecimal digits are the same in either case, as the server takes them. */
const isSame = (one: string, other: string) =>
  one === other || (/^[0-9a-f]{24}$/i.test(one) && one.toLowerCase() === other.toLowerCase());

/** By name as the reader's language sorts; those without one come last. */
export function byName(groups: OwnGroup[], language: string): OwnGroup[] {
  const { compare } = new Intl.Collator(language, { numeric: true });
  return [...groups].sort(({ name: one, id }, { name: other, id: otherId }) => {
    if (one === null || other === null) return Number(one === null) - Number(other === null) || compare(id, otherId);
    return compare(one, other) || compare(id, otherId);
  });
}

/** The group in the URL, and those that are the reader's own, once they are known. */
export function useGroups() {
  const { group } = useSearch({ strict: false });
  const { token } = useSession();
  const language = useLanguage();
  const all = useQuery({ ...queries.groups(), enabled: token !== null });
  const own = useMemo(() => (all.data ? byName(all.data, language) : undefined), [all.data, language]);
  const isCut = own !== undefined && own.length >= LISTED_MAX;
  const listed = own?.find(({ id }) => group !== undefined && isSame(group, id));
  return {
    own,
    /** There are more than those. */
    isCut,
    /** The URL's; by name where it is one of the listed. */
    shown: listed ?? (group === undefined ? undefined : { id: group, name: null }),
    /** The URL's is known to be none of theirs. */
    isForeign: group !== undefined && own !== undefined && !listed && !isCut,
    all,
  };
}

/** Shows another group: the same page, but no webhook and no filter of the group before. */
export function showGroup(router: ReturnType<typeof createAppRouter>, group: string) {
  const { location, matches } = router.state;
  const before = groupSearch(location.search).group;
  if (group === before) return;
  if (before === undefined) void router.navigate({ to: ".", search: (all) => ({ ...all, group }), replace: true });
  else {
    const isOfGroup = matches.some((match) => match.routeId === "/webhooks/$webhookId");
    void router.navigate({ to: isOfGroup ? "/webhooks" : ".", search: { group } });
  }
}
