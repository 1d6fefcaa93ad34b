import { Box, Button, Stack, Text, TextInput, Title } from "@mantine/core";
import { Navigate, useNavigate, useParams } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useState } from "react";
import type { OwnGroup } from "../api/types";
import { useT } from "../i18n";
import { useSession } from "../session/session";
import { Icon } from "../ui/Icon";
import { ltrInput } from "../ui/ltrInput";
import { useTitle } from "../ui/Page";
import { Empty, Failure, Waiting } from "../ui/States";
import { GroupList } from "./GroupList";
import { GroupContext, useGroups } from "./group";

/**
 * Pages are of one group: the URL's, or the only one, or the one that is chosen here. The URL's is shown while it is still
 * asked whether it is the reader's: the server refuses by itself what is not theirs.
 */
export function GroupGate({ children }: { children: ReactNode }) {
  const { own, shown, isForeign, isCut, all } = useGroups();
  const again = () => all.refetch();
  const { webhookId } = useParams({ strict: false });
  if (isForeign) return <Foreign own={own ?? []} again={again} />;
  if (shown)
    return (
      <GroupContext.Provider key={shown.id} value={shown}>
        {children}
      </GroupContext.Provider>
    );
  if (!own) return all.error ? <Failure error={all.error} retry={again} /> : <Waiting />;
  const [only, another] = own;
  if (!only) return <NoGroup again={again} />;
  if (!another) return <Navigate to="." search={(before) => ({ ...before, group: only.id })} replace />;
  // The webhook tells its group by itself.
  if (webhookId !== undefined) return children;
  return <ChooseGroup own={own} isCut={isCut} />;
}

function ChooseGroup({ own, isCut }: { own: OwnGroup[]; isCut: boolean }) {
  const t = useT();
  useTitle(t("group.choose"));
  return (
    <Card>
      <Title order={1} size="h3">
        {t("group.choose")}
      </Title>
      <Text size="sm" c="dimmed" mt={6} mb="lg">
        {t("group.several")}
      </Text>
      <GroupList groups={own} />
      {isCut ? <ById count={own.length} /> : null}
    </Card>
  );
}

/** The URL's group is not theirs. In a frame the host says which one is shown, so none is offered. */
function Foreign({ own, again }: { own: OwnGroup[]; again: () => unknown }) {
  const t = useT();
  const { embedded } = useSession();
  useTitle(t("state.noAdmin"));
  const offered = embedded ? [] : own;
  return (
    <Card>
      <Empty
        order={1}
        icon="shield"
        title={t("state.noAdmin")}
        text={t(offered.length > 0 ? "state.noAdminDetail" : "group.noneDetail")}
        action={<Again onClick={again} />}
      />
      {offered.length > 0 ? (
        <>
          <Title order={2} size="h6" mb="xs">
            {t("group.yours")}
          </Title>
          <GroupList groups={offered} />
        </>
      ) : null}
    </Card>
  );
}

function NoGroup({ again }: { again: () => unknown }) {
  const t = useT();
  useTitle(t("group.none"));
  const action = <Again onClick={again} />;
  return (
    <Card>
      <Empty order={1} icon="people" title={t("group.none")} text={t("group.noneDetail")} action={action} />
    </Card>
  );
}

function Again({ onClick }: { onClick: () => unknown }) {
  const t = useT();
  return (
    <Button size="xs" variant="default" onClick={onClick} leftSection={<Icon name="replay" size={14} />}>
      {t("state.retry")}
    </Button>
  );
}

const Card = ({ children }: { children: ReactNode }) => (
  <Stack align="center" py={{ base: 24, sm: 64 }}>
    <Box className="surface" p={{ base: "lg", sm: 36 }} w="100%" maw={480}>
      {children}
    </Box>
  </Stack>
);

function ById({ count }: { count: number }) {
  const t = useT();
  return (
    <Box mt="lg">
      <Text size="sm" c="dimmed" mb="sm">
        {t("group.cut", { count })}
      </Text>
      <GroupForm />
    </Box>
  );
}

/** For those who administer more groups than are listed. */
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
          styles={ltrInput}
        />
        <Button type="submit" variant="default" disabled={text.trim() === ""}>
          {t("group.open")}
        </Button>
      </Stack>
    </form>
  );
}
