import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/calls";
import { useGroup } from "../app/group";
import { useT } from "../i18n";
import { Page } from "../ui/Page";
import { useIntent } from "../ui/useIntent";
import { useKeep } from "./changes";
import { SecretOnce } from "./SecretOnce";
import { bodyOf, type FormValues, newValues } from "./schema";
import { WebhookForm } from "./WebhookForm";

export function NewPage() {
  const t = useT();
  const groupId = useGroup();
  const navigate = useNavigate();
  const keep = useKeep();
  const intent = useIntent();
  const [initial] = useState(newValues);
  const [made, setMade] = useState<{ id: string; secret: string } | null>(null);

  const create = useMutation({
    mutationFn: async (values: FormValues) => {
      const body = { ...bodyOf(values), groupId, enabled: true, ...(values.secret ? { secret: values.secret } : {}) };
      const created = await intent(body, (key) => api.createWebhook(body, key));
      keep(created);
      setMade({ id: created.value.id, secret: created.value.secret ?? values.secret });
      return "saved" as const;
    },
  });
  const open = () => {
    // Back leads to where the form was opened, not to an empty one.
    if (made) void navigate({ to: "/webhooks/$webhookId", params: { webhookId: made.id }, replace: true });
  };

  return (
    <Page title={t("webhooks.new")} lead={t("webhooks.newLead")}>
      <WebhookForm
        initial={initial}
        withSecret
        submitLabel={t("webhooks.create")}
        onSubmit={create.mutateAsync}
        onCancel={() => navigate({ to: "/webhooks" })}
      />
      <SecretOnce secret={made?.secret ?? null} awaited={create.isPending} onClose={open} />
    </Page>
  );
}
