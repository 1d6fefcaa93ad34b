import { Alert, Button, Group, Table, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useT } from "../i18n";
import { Icon } from "./Icon";

/** A setting that somebody else changed; `mine` is null where it was left alone here. */
export type Difference = { field: string; name: string; before: ReactNode; theirs: ReactNode; mine: ReactNode | null };

type Props = { title: string; differences: Difference[]; onTheirs: () => void };

/** Within a form: what somebody else changed while it was filled in, and whose it shall be. */
export function ConflictNotice({ title, differences, onTheirs }: Props) {
  const t = useT();
  return (
    <Alert color="yellow" mb="md" title={title} icon={<Icon name="alert" />} data-testid="conflict">
      <Text size="sm">{t("conflict.text")}</Text>
      <Table my="sm" fz="sm" layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("conflict.field")}</Table.Th>
            <Table.Th>{t("conflict.before")}</Table.Th>
            <Table.Th>{t("conflict.theirs")}</Table.Th>
            <Table.Th>{t("conflict.mine")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {differences.map(({ field, name, before, theirs, mine }) => (
            <Table.Tr key={field}>
              <Table.Td>{name}</Table.Td>
              {[before, theirs, mine ?? t("conflict.untouched")].map((value, index) => (
                <Table.Td key={index} style={{ overflowWrap: "anywhere" }}>
                  {value}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Group gap="xs">
        <Button size="xs" type="submit">
          {t("conflict.saveMine")}
        </Button>
        <Button size="xs" variant="default" onClick={onTheirs}>
          {t("conflict.takeTheirs")}
        </Button>
      </Group>
    </Alert>
  );
}
