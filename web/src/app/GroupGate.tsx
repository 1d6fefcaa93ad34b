import { Box, Button, Stack, Text, TextInput, Title } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useState } from "react";
import { useT } from "../i18n";
import { Failure, Waiting } from "../ui/States";
import { Ltr } from "../ui/Text";
import { GroupContext, useGroups } from "./group";

/** Pages are of one group: the URL's, or the only one, or the one that is chosen here. */
export function GroupGate({ children }: { children: ReactNode }) {
  const { group, known, all } = useGroups();
  if (group) return <GroupContext.Provider value={group}>{children}</GroupContext.Provider>;
  if (all.error) return <Failure error={all.error} retry={() => all.refetch()} />;
  if (all.isPending) return <Waiting />;
  return <ChooseGroup known={known} />;
}

function ChooseGroup({ known }: { known: string[] }) {
  const t = useT();
  const navigate = useNavigate();
  return (
    <Stack align="center" py={{ base: 24, sm: 64 }}>
      <Box className="surface" p={{ base: "lg", sm: 36 }} w="100%" maw={480}>
        <Title order={1} size="h3">
          {t("group.choose")}
        </Title>
        <Text size="sm" c="dimmed" mt={6} mb="lg">
          {t(known.length > 0 ? "group.several" : "group.none")}
        </Text>
        <Stack gap="xs" mb={known.length > 0 ? "lg" : 0}>
          {known.map((id) => (
            <Button
              key={id}
              variant="default"
              onClick={() => navigate({ to: ".", search: (before) => ({ ...before, group: id }) })}
            >
              <Ltr mono>{id}</Ltr>
            </Button>
          ))}
        </Stack>
        <GroupForm />
      </Box>
    </Stack>
  );
}

export function GroupForm({ onDone }: { onDone?: () => void }) {
  const t = useT();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const group = text.trim();
    if (!group) return;
    void navigate({ to: ".", search: (before) => ({ ...before, group }) });
    onDone?.();
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="sm">
        <TextInput
          label={t("group.id")}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          autoComplete="off"
          styles={{ input: { direction: "ltr" } }}
        />
        <Button type="submit" variant={onDone ? "default" : "filled"} disabled={text.trim() === ""}>
          {t("group.open")}
        </Button>
      </Stack>
    </form>
  );
}
