import { Box, Button, Menu, Modal } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useRouter } from "@tanstack/react-router";
import { useT } from "../i18n";
import { isolated } from "../i18n/format";
import { Icon } from "../ui/Icon";
import { ShortId } from "../ui/Text";
import { GroupForm } from "./GroupGate";
import { alike, GroupName } from "./GroupList";
import { showGroup, useGroups } from "./group";

/** The group's name in the header; with a choice of others where there are any. */
export function GroupMenu() {
  const t = useT();
  const { own, shown, isForeign, isCut, all } = useGroups();
  // Not the id for a moment, before the name is known.
  const isKnown = own !== undefined || all.error !== null;
  if (!shown || isForeign || !isKnown) return null;
  const label = t("group.menu", { group: isolated(shown.name ?? shown.id) });
  const name = (
    // Cut at the name's own end, in either direction of writing: which a `bdi` in between would hide.
    <span className="ellipsis" dir="auto">
      {shown.name ?? <ShortId id={shown.id} />}
    </span>
  );
  const icon = <Icon name="people" size={15} />;
  const title = shown.name === null ? undefined : `${isolated(shown.name)} · ${shown.id}`;
  if (isCut || (own?.length ?? 0) > 1)
    return (
      <Choice>
        <Button
          variant="default"
          size="xs"
          className="group"
          leftSection={icon}
          rightSection={<Icon name="down" size={13} />}
          aria-label={label}
          title={title}
        >
          {name}
        </Button>
      </Choice>
    );
  return (
    <Box className="group" role="group" aria-label={label} title={title}>
      {icon}
      {name}
    </Box>
  );
}

function Choice({ children }: { children: React.ReactElement }) {
  const t = useT();
  const router = useRouter();
  const { own = [], shown, isCut } = useGroups();
  const [byId, { open, close }] = useDisclosure(false);
  const twins = alike(own);
  return (
    <>
      {/* Within the header: at the document's end it would stand outside of every landmark. */}
      <Menu position="bottom-end" width="min(320px, calc(100vw - 24px))" withinPortal={false}>
        <Menu.Target>{children}</Menu.Target>
        <Menu.Dropdown mah="min(420px, 70vh)" style={{ overflowY: "auto" }}>
          <Menu.Label>{t("group.label")}</Menu.Label>
          {own.map((group) => {
            const isShown = group.id === shown?.id;
            return (
              <Menu.Item
                key={group.id}
                aria-current={isShown || undefined}
                rightSection={isShown ? <Icon name="check" size={14} /> : null}
                onClick={() => showGroup(router, group.id)}
                style={{ overflowWrap: "anywhere" }}
              >
                <GroupName group={group} hasTwin={twins.has(group.id)} />
              </Menu.Item>
            );
          })}
          {isCut ? <Menu.Item onClick={open}>{t("group.other")}</Menu.Item> : null}
        </Menu.Dropdown>
      </Menu>
      <Modal
        opened={byId}
        onClose={close}
        title={t("group.other")}
        closeButtonProps={{ "aria-label": t("common.close") }}
      >
        <GroupForm onDone={close} />
      </Modal>
    </>
  );
}
