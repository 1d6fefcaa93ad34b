import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { createContext, useContext } from "react";
import { queries } from "../api/queries";
import { useSession } from "../session/session";

/** The group that the page shows; there is one wherever pages are shown. */
export const GroupContext = createContext("");
export const useGroup = () => useContext(GroupContext);

/** The group in the URL, and those that are known because they have webhooks. */
export function useGroups() {
  const { group } = useSearch({ strict: false });
  const { token } = useSession();
  const all = useQuery({ ...queries.webhooks(undefined), enabled: token !== null, refetchInterval: false });
  const known = [...new Set((all.data ?? []).map((webhook) => webhook.groupId))];
  return { group: group ?? (known.length === 1 ? known[0] : undefined), known, all };
}
