import { Alert, Button, Group, Modal, Text } from "@mantine/core";
import { useT } from "../i18n";
import { session, useSession } from "./session";
import { TokenForm } from "./TokenForm";

/** The token ran out: what is on the page stays, and what was under way goes on with the next token. */
export function Expired() {
  const t = useT();
  const { renewing, embedded } = useSession();
  if (embedded) {
    return renewing ? (
      <Alert color="yellow" mb="md" role="status">
        {t("session.hostRenewing")}
      </Alert>
    ) : null;
  }
  return (
    <Modal
      opened={renewing}
      onClose={() => {}}
      withCloseButton={false}
      title={t("session.expired")}
      closeOnEscape={false}
    >
      <Text size="sm" c="dimmed" mb="md">
        {t("session.expiredDetail")}
      </Text>
      <TokenForm onToken={(token) => session.signIn(token)} />
      <Group justify="center" mt="sm">
        <Button variant="subtle" color="gray" size="xs" onClick={() => session.signOut()}>
          {t("session.signOut")}
        </Button>
      </Group>
    </Modal>
  );
}
