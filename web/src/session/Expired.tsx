import { Alert, Button, Group, Modal, Text } from "@mantine/core";
import { useState } from "react";
import { useT } from "../i18n";
import { session, useSession } from "./session";
import { TokenForm } from "./TokenForm";
import { useLate } from "./useLate";

/** Above every dialog: each of them waits for the token too. */
const ABOVE_ALL = 500;

/** The token ran out: what is on the page stays, and what was under way goes on with the next token. */
export function Expired() {
  const t = useT();
  const { taken, renewing, embedded } = useSession();
  if (embedded) return renewing ? <HostRenewing /> : null;
  return (
    <Modal
      opened={renewing}
      onClose={() => {}}
      withCloseButton={false}
      title={t(taken ? "session.expired" : "session.refused")}
      closeOnEscape={false}
      zIndex={ABOVE_ALL}
    >
      <Text size="sm" c="dimmed" mb="md">
        {t(taken ? "session.expiredDetail" : "session.refusedDetail")}
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

function HostRenewing() {
  const t = useT();
  const [turn, setTurn] = useState(0);
  const late = useLate(turn);
  const again = () => {
    session.askAgain();
    setTurn(turn + 1);
  };
  return (
    <Alert
      color="yellow"
      variant="filled"
      autoContrast
      role="status"
      style={{ position: "fixed", insetInline: 12, top: 12, zIndex: ABOVE_ALL }}
    >
      <Group justify="space-between" gap="xs">
        {t(late ? "session.hostStillSilent" : "session.hostRenewing")}
        {late ? (
          <Button size="xs" variant="default" onClick={again}>
            {t("state.retry")}
          </Button>
        ) : null}
      </Group>
    </Alert>
  );
}
