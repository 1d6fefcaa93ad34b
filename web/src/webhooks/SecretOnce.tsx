import { Alert, Button, CopyButton, Group, Modal, Text } from "@mantine/core";
import { useT } from "../i18n";
import { Icon } from "../ui/Icon";

/** A new secret, shown this once. It closes by its button only, so that no stray click loses it. */
export function SecretOnce({
  secret,
  rotating,
  onClose,
}: {
  secret: string | null;
  rotating?: boolean;
  onClose: () => void;
}) {
  const t = useT();
  return (
    <Modal
      opened={secret !== null}
      onClose={onClose}
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
        <CopyButton value={secret ?? ""}>
          {({ copied, copy }) => (
            <Button
              variant={copied ? "light" : "filled"}
              leftSection={<Icon name={copied ? "check" : "copy"} size={16} />}
              onClick={copy}
            >
              {t(copied ? "common.copied" : "secret.copy")}
            </Button>
          )}
        </CopyButton>
        <Button variant="default" onClick={onClose}>
          {t("secret.stored")}
        </Button>
      </Group>
    </Modal>
  );
}
