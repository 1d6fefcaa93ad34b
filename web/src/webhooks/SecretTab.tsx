import { Button, Group, List } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/calls";
import type { Webhook } from "../api/types";
import { useT } from "../i18n";
import { Icon } from "../ui/Icon";
import { Section } from "../ui/Page";
import { Ltr } from "../ui/Text";
import { useKeep, useSayRotationFailure } from "./changes";
import { ReceiverCheck } from "./ReceiverCheck";
import { RotationPanel } from "./RotationPanel";
import { SecretOnce } from "./SecretOnce";

export function SecretTab({ webhook }: { webhook: Webhook }) {
  const t = useT();
  const keep = useKeep();
  const client = useQueryClient();
  const sayFailure = useSayRotationFailure(() => client.invalidateQueries({ queryKey: ["webhook", webhook.id] }));
  const [secret, setSecret] = useState<string | null>(null);
  const rotate = useMutation({
    mutationFn: () => api.changeWebhook(webhook.id, { rotateSecret: true }),
    onError: sayFailure,
    onSuccess: (changed) => {
      setSecret(changed.value.secret ?? null);
      keep(changed);
    },
  });
  const finalize = useMutation({
    mutationFn: () => api.changeWebhook(webhook.id, { finalizeRotation: true }),
    onError: sayFailure,
    onSuccess: keep,
  });
  return (
    <>
      <RotationPanel
        hint={webhook.secretHint}
        rotation={webhook.rotation}
        onRotate={() => rotate.mutate()}
        onFinalize={() => finalize.mutate()}
        busy={rotate.isPending || finalize.isPending}
      />
      <ReceiverCheck webhook={webhook} />
      <Section title={t("secret.howTitle")} text={t("secret.howText")}>
        <List size="sm" spacing={6}>
          <List.Item>
            <Ltr mono>X-Signature</Ltr>: {t("secret.howSignature")}
          </List.Item>
          <List.Item>
            <Ltr mono>webhook-signature</Ltr>: {t("secret.howStandard")}
          </List.Item>
        </List>
        <Group mt="md">
          <Button
            component={Link}
            to="/signature"
            variant="default"
            size="xs"
            leftSection={<Icon name="shield" size={15} />}
          >
            {t("secret.debug")}
          </Button>
        </Group>
      </Section>
      <SecretOnce secret={secret} awaited={rotate.isPending} rotating onClose={() => setSecret(null)} />
    </>
  );
}
