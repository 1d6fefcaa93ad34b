import { ActionIcon, Group, Menu, Tooltip, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { LANGUAGES, type Language, useLanguage, useT } from "../i18n";
import { session, useSession } from "../session/session";
import { Icon } from "../ui/Icon";
import { useMayLeave } from "../ui/useLeaveGuard";
import { useSayFailure } from "../webhooks/changes";
import { GroupMenu } from "./GroupMenu";
import { chooseLanguage } from "./preferences";

/** Group, language, theme, the way out. In a frame the host has its own, so there is only what it did not say. */
export function HeaderTools() {
  const { token, embedded } = useSession();
  if (embedded) return null;
  return (
    <Group gap={4} className="tools">
      {token ? <GroupMenu /> : null}
      <LanguageMenu />
      <ThemeSwitch />
      {token ? <SignOut /> : null}
    </Group>
  );
}

function LanguageMenu() {
  const t = useT();
  const language = useLanguage();
  const sayFailure = useSayFailure();
  return (
    <Menu position="bottom-end" withinPortal={false}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t("nav.language")}>
          <Icon name="globe" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {(Object.keys(LANGUAGES) as Language[]).map((one) => (
          <Menu.Item
            key={one}
            lang={one}
            rightSection={one === language ? <Icon name="check" size={14} /> : null}
            onClick={() => chooseLanguage(one).catch(sayFailure)}
          >
            {LANGUAGES[one]}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function ThemeSwitch() {
  const t = useT();
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme("light") === "dark";
  const label = t(dark ? "nav.light" : "nav.dark");
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        aria-label={label}
        onClick={() => setColorScheme(dark ? "light" : "dark")}
      >
        <Icon name={dark ? "sun" : "moon"} />
      </ActionIcon>
    </Tooltip>
  );
}

function SignOut() {
  const t = useT();
  const mayLeave = useMayLeave();
  const signOut = async () => {
    if (await mayLeave()) session.signOut();
  };
  return (
    <Tooltip label={t("session.signOut")}>
      <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t("session.signOut")} onClick={signOut}>
        <Icon name="exit" />
      </ActionIcon>
    </Tooltip>
  );
}
