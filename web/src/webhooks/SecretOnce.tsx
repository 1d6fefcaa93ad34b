import { Alert, Button, Group, Modal, Text } from "@mantine/core";
import { useRef } from "react";
import { useT } from "../i18n";
import { CopyButton } from "../ui/CopyButton";
import { Icon } from "../ui/Icon";
import { useLeaveGuard } from "../ui/useLeaveGuard";

type Props = {
  secret: string | null;
  /** It is being made: who leaves now never sees it. */
  awaited: boolean;
  rotating?: boolean;
  onClose: () => void;
};

/** A new secret, shown this once. It closes by its button only, so that no stray click loses it. */
export function SecretOnce({ secret, awaited, rotating, onClose }: Props) {
  const t = useT();
  const stored = useRef<string | null>(null);
  useLeaveGuard({
    when: awaited || secret !== null,
    unless: () => secret !== null && stored.current === secret,
    question: { title: t("secret.leave"), text: t("secret.leaveDetail"), yes: t("form.leaveYes"), danger: true },
  });
  const close = () => {
    stored.current = secret;
    onClose();
  };
  return (
    <Modal
      opened={secret !== null}
      onClose={close}
      closeOnClickOutside={false}
      closeOnEscape={false}
      withCloseButton={false}
      title={t("secret.onceTitle")}
      size="lg"
    >
      <Text size="sm">{t(rotating ? "secret.onceRotated" : "secret.onceNew")}</Text>
      <pre className="code" data-wrap data-testid="secret" style={{ marginTop: 16, fontSize: 14 }}>
        {secret}
      </pre>
      <Alert color="yellow" variant="light" mt="md" icon={<Icon name="key" />}>
        {t("secret.onceWarning")}
      </Alert>
      <Group justify="space-between" mt="lg">
        <CopyButton text={secret ?? ""} label={t("secret.copy")} />
        <Button variant="default" onClick={close}>
          {t("secret.stored")}
        </Button>
      </Group>
    </Modal>
  );
}
