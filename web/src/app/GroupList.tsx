import { Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { OwnGroup } from "../api/types";
import { useT } from "../i18n";
import { SearchField } from "../ui/SearchField";
import { Name, ShortId } from "../ui/Text";

/** So many are seen at a glance. */
const SEEN = 8;

/** What a group is called: its name in its own direction of writing, with its id where others are called so too, or its id. */
export const GroupName = ({ group, hasTwin }: { group: OwnGroup; hasTwin: boolean }) => (
  <>
    {group.name === null ? <ShortId id={group.id} /> : <Name>{group.name}</Name>}
    {hasTwin ? (
      <Text size="xs" c="dimmed" component="div">
        <ShortId id={group.id} />
      </Text>
    ) : null}
  </>
);

/** The ids of those whose name alone does not tell which they are. */
export function alike(groups: OwnGroup[]): Set<string> {
  const first = new Map<string, string>();
  const found = new Set<string>();
  for (const { id, name } of groups) {
    if (name === null) continue;
    const key = name.trim().toLowerCase();
    const before = first.get(key);
    if (before === undefined) first.set(key, id);
    else found.add(before).add(id);
  }
  return found;
}

/** Groups to choose one from. */
export function GroupList({ groups }: { groups: OwnGroup[] }) {
  const t = useT();
  const [sought, setSought] = useState("");
  const word = sought.toLowerCase();
  const found = groups.filter(({ id, name }) => id === word || (name ?? id).toLowerCase().includes(word));
  const twins = alike(groups);
  return (
    <>
      {groups.length > SEEN ? <SearchField label={t("group.search")} value={sought} onChange={setSought} /> : null}
      <ul className="choices" aria-label={t("group.yours")}>
        {found.map((group) => (
          <li key={group.id}>
            <Link to="." search={(before) => ({ ...before, group: group.id })}>
              <GroupName group={group} hasTwin={twins.has(group.id)} />
            </Link>
          </li>
        ))}
      </ul>
      <Text size="sm" c="dimmed" role="status" mt={found.length > 0 ? 0 : "sm"}>
        {found.length > 0 ? "" : t("common.noMatch")}
      </Text>
    </>
  );
}
