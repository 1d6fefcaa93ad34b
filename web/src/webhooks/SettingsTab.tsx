import { Alert, Button, Group, Table, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Versioned } from "../api/calls";
import { isStatus } from "../api/problem";
import { queries } from "../api/queries";
import type { Webhook } from "../api/types";
import { useT } from "../i18n";
import { Icon } from "../ui/Icon";
import { Ltr } from "../ui/Text";
import { useKeep } from "./changes";
import { type BodyField, bodyOf, differences, type FormValues, valuesOf } from "./schema";
import { type Saved, WebhookForm } from "./WebhookForm";

/** What somebody else changed while the form was open. */
type Conflict = { mine: FormValues; base: FormValues; theirs: Versioned<Webhook> };

export function SettingsTab({ found }: { found: Versioned<Webhook> }) {
  const t = useT();
  const client = useQueryClient();
  const keep = useKeep();
  // The version that the form began with: refreshes in the background must not move it.
  const [base, setBase] = useState(found);
  const [conflict, setConflict] = useState<Conflict | null>(null);
  const id = base.value.id;

  const send = async (from: FormValues, mine: FormValues, etag: string | null) => {
    const body = bodyOf(mine);
    const changed = Object.fromEntries(differences(from, mine).map((field) => [field, body[field]]));
    const saved = await api.changeWebhook(id, changed, etag);
    keep(saved);
    setConflict(null);
    setBase(saved);
    notifications.show({ color: "teal", message: t("form.saved") });
  };

  /** Saves, or shows what somebody else changed meanwhile. */
  const save = async (mine: FormValues, from = valuesOf(base.value), etag = base.etag): Promise<Saved> => {
    try {
      await send(from, mine, etag);
      return "saved";
    } catch (error) {
      if (!isStatus(error, 412)) throw error;
    }
    const theirs = await client.fetchQuery({ ...queries.webhook(id), staleTime: 0 });
    // A pause or a rotation is a new version too, and changes nothing of this form.
    if (differences(from, valuesOf(theirs.value)).length === 0) return save(mine, from, theirs.etag);
    setConflict({ mine, base: from, theirs });
    return "conflict";
  };

  const takeTheirs = () => {
    if (!conflict) return;
    setBase(conflict.theirs);
    setConflict(null);
  };

  return (
    <WebhookForm
      key={base.etag}
      initial={valuesOf(base.value)}
      submitLabel={t("form.save")}
      // Once the other's changes are shown, saving is on top of them.
      onSubmit={(values) => (conflict ? save(values, conflict.base, conflict.theirs.etag) : save(values))}
      extra={conflict ? <ConflictNotice conflict={conflict} onTheirs={takeTheirs} /> : null}
    />
  );
}

type NoticeProps = { conflict: Conflict; onTheirs: () => void };

function ConflictNotice({ conflict, onTheirs }: NoticeProps) {
  const t = useT();
  const theirs = valuesOf(conflict.theirs.value);
  const fields = differences(conflict.base, theirs);
  const mineToo = differences(conflict.base, conflict.mine);
  const show = (values: FormValues, field: BodyField) => {
    const value = bodyOf(values)[field];
    // A name has its own direction of writing; what else there is reads from left to right.
    if (field === "name") return <bdi>{String(value)}</bdi>;
    return <Ltr>{typeof value === "string" ? value : JSON.stringify(value)}</Ltr>;
  };
  return (
    <Alert color="yellow" mb="md" title={t("conflict.title")} icon={<Icon name="alert" />} data-testid="conflict">
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
          {fields.map((field) => (
            <Table.Tr key={field}>
              <Table.Td>{t(`conflict.name.${field}`)}</Table.Td>
              {[conflict.base, theirs].map((values, index) => (
                <Table.Td key={index} style={{ overflowWrap: "anywhere" }}>
                  {show(values, field)}
                </Table.Td>
              ))}
              <Table.Td style={{ overflowWrap: "anywhere" }}>
                {mineToo.includes(field) ? show(conflict.mine, field) : t("conflict.untouched")}
              </Table.Td>
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
