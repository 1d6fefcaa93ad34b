import { notifications } from "@mantine/notifications";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Versioned } from "../api/calls";
import { isStatus } from "../api/problem";
import { queries } from "../api/queries";
import type { Webhook } from "../api/types";
import { useT } from "../i18n";
import { ConflictNotice } from "../ui/ConflictNotice";
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
  // The version that the form was begun with, once something is entered: refreshes in the background must not move it.
  const [held, setHeld] = useState<Versioned<Webhook> | null>(null);
  const [conflict, setConflict] = useState<Conflict | null>(null);
  const base = held ?? found;
  const id = base.value.id;
  const follow = () => {
    setHeld(null);
    setConflict(null);
  };

  const send = async (from: FormValues, mine: FormValues, etag: string | null) => {
    const body = bodyOf(mine);
    const changed = Object.fromEntries(differences(from, mine).map((field) => [field, body[field]]));
    const saved = await api.changeWebhook(id, changed, etag);
    keep(saved);
    follow();
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

  return (
    <WebhookForm
      initial={valuesOf(base.value)}
      onTouched={(isTouched) => (isTouched ? setHeld(found) : follow())}
      submitLabel={t("form.save")}
      // Once the other's changes are shown, saving is on top of them.
      onSubmit={(values) => (conflict ? save(values, conflict.base, conflict.theirs.etag) : save(values))}
      extra={conflict ? <Meanwhile conflict={conflict} onTheirs={follow} /> : null}
    />
  );
}

type NoticeProps = { conflict: Conflict; onTheirs: () => void };

function Meanwhile({ conflict, onTheirs }: NoticeProps) {
  const t = useT();
  const theirs = valuesOf(conflict.theirs.value);
  const mine = differences(conflict.base, conflict.mine);
  const show = (values: FormValues, field: BodyField) => {
    const value = bodyOf(values)[field];
    // A name has its own direction of writing; what else there is reads from left to right.
    if (field === "name") return <bdi>{String(value)}</bdi>;
    return <Ltr>{typeof value === "string" ? value : JSON.stringify(value)}</Ltr>;
  };
  return (
    <ConflictNotice
      title={t("conflict.title")}
      differences={differences(conflict.base, theirs).map((field) => ({
        field,
        name: t(`conflict.name.${field}`),
        before: show(conflict.base, field),
        theirs: show(theirs, field),
        mine: mine.includes(field) ? show(conflict.mine, field) : null,
      }))}
      onTheirs={onTheirs}
    />
  );
}
