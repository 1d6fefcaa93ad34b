import { Box, Loader, Stack, Text, Title } from "@mantine/core";
import { useT } from "../i18n";
import { useTitle } from "../ui/Page";
import { Empty } from "../ui/States";
import { session, useSession } from "./session";
import { TokenForm } from "./TokenForm";
import { useLate } from "./useLate";

/** In a frame: waits for the host. On a plain page: takes the task service's token. */
export function SignIn() {
  const t = useT();
  const { embedded } = useSession();
  useTitle(t("session.title"));

  if (embedded) return <WaitingForHost />;
  return (
    <Stack align="center" py={{ base: 24, sm: 64 }}>
      <Box className="surface" p={{ base: "lg", sm: 36 }} w="100%" maw={480}>
        <Title order={1} size="h3">
          {t("session.title")}
        </Title>
        <Text size="sm" c="dimmed" mt={6} mb="lg">
          {t("session.lead")}
        </Text>
        <TokenForm onToken={(token) => session.signIn(token)} />
        <Text size="xs" c="dimmed" mt="md">
          {t("session.memory")}
        </Text>
      </Box>
    </Stack>
  );
}

function WaitingForHost() {
  const t = useT();
  if (useLate())
    return <Empty order={1} icon="key" title={t("session.hostSilent")} text={t("session.hostSilentDetail")} />;
  return (
    <Stack align="center" py={80} role="status">
      <Loader />
      <Text c="dimmed">{t("session.hostWaiting")}</Text>
    </Stack>
  );
}
