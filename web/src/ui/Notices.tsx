import { MantineThemeProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { useT } from "../i18n";

/** What is said in passing, at the foot of the window. */
export function Notices() {
  const t = useT();
  const closeButtonProps = { "aria-label": t("common.close") };
  return (
    <MantineThemeProvider inherit theme={{ components: { Notification: { defaultProps: { closeButtonProps } } } }}>
      <Notifications position="bottom-center" autoClose={6000} />
    </MantineThemeProvider>
  );
}
