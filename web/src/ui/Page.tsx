import { Box, Group, Text, Title } from "@mantine/core";
import { type ReactNode, useContext, useEffect } from "react";
import { GroupContext } from "../app/group";
import { Name } from "./Text";

type Props = { title: string; lead?: ReactNode; actions?: ReactNode; children: ReactNode; badge?: ReactNode };

/** What the window is called: of two windows with two groups each says which is which. */
export function useTitle(title: string, group: string | null = null) {
  useEffect(() => {
    document.title = [title, group, "Taskwire"].filter(Boolean).join(" · ");
  }, [title, group]);
}

/** Longer titles are cut on narrow screens. */
const LONG = 60;

/** A page's head and body; its title is the window's too. */
export function Page({ title, lead, actions, badge, children }: Props) {
  useTitle(title, useContext(GroupContext).name);
  return (
    <>
      <Group justify="space-between" align="flex-start" gap="md" mb="lg">
        <Box style={{ minWidth: 0, flex: "1 1 260px" }}>
          <Group gap="sm" wrap="wrap">
            <Title
              order={1}
              size="h2"
              lineClamp={3}
              title={title.length > LONG ? title : undefined}
              style={{ letterSpacing: "-0.012em", overflowWrap: "anywhere" }}
            >
              <Name>{title}</Name>
            </Title>
            {badge}
          </Group>
          {lead ? (
            <Text component="div" c="dimmed" mt={4} maw={720} size="sm">
              {lead}
            </Text>
          ) : null}
        </Box>
        {actions ? <Group gap="xs">{actions}</Group> : null}
      </Group>
      {children}
    </>
  );
}

export function Section({ title, text, children }: { title: string; text?: string; children: ReactNode }) {
  return (
    <Box component="section" className="surface" p={{ base: "md", sm: "lg" }} mb="md">
      <Title order={2} size="h5">
        {title}
      </Title>
      {text ? (
        <Text size="sm" c="dimmed" mt={2} maw={640}>
          {text}
        </Text>
      ) : null}
      <Box mt="md">{children}</Box>
    </Box>
  );
}
