import { Alert, Box, Button, Container, Group, Text } from "@mantine/core";
import { Link, Outlet } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { queryClient } from "../api/queries";
import { useT } from "../i18n";
import { Expired } from "../session/Expired";
import { SignIn } from "../session/SignIn";
import { useSession } from "../session/session";
import { Icon } from "../ui/Icon";
import { GroupGate } from "./GroupGate";
import { HeaderTools } from "./HeaderTools";

const PAGES = [
  ["/", "nav.overview"],
  ["/webhooks", "nav.webhooks"],
  ["/events", "nav.events"],
  ["/inbound", "nav.inbound"],
  ["/signature", "nav.signature"],
] as const;

function useOnline() {
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = () => setOnline(navigator.onLine);
    window.addEventListener("online", look);
    window.addEventListener("offline", look);
    return () => {
      window.removeEventListener("online", look);
      window.removeEventListener("offline", look);
    };
  }, []);
  return online;
}

/** Another person's data must not flash up after a change of who is signed in. */
function useCleanCache(signedIn: boolean) {
  const before = useRef(signedIn);
  useEffect(() => {
    if (before.current && !signedIn) queryClient.clear();
    before.current = signedIn;
  }, [signedIn]);
}

export function Shell() {
  const t = useT();
  const { token, embedded } = useSession();
  const online = useOnline();
  useCleanCache(token !== null);
  return (
    <>
      <Button component="a" href="#main" className="skip" size="xs">
        {t("nav.skip")}
      </Button>
      <Box
        component="nav"
        aria-label={t("nav.label")}
        className="surface"
        style={{ borderRadius: 0, borderWidth: "0 0 1px" }}
      >
        <Container size="xl" py={embedded ? 6 : 10}>
          <Group justify="space-between" gap="sm" wrap="wrap">
            {embedded ? null : <Brand />}
            {token ? (
              <Box className="nav pages">
                {PAGES.map(([to, label]) => (
                  <Link key={to} to={to} activeOptions={{ exact: to === "/", includeSearch: false }}>
                    {t(label)}
                  </Link>
                ))}
              </Box>
            ) : null}
            <HeaderTools />
          </Group>
        </Container>
      </Box>
      <Container size="xl" py="lg" component="main" id="main" tabIndex={-1} style={{ outline: "none" }}>
        {online ? null : (
          <Alert color="yellow" mb="md" icon={<Icon name="offline" />} role="status">
            {t("state.browserOffline")}
          </Alert>
        )}
        {token ? (
          <GroupGate>
            <Outlet />
          </GroupGate>
        ) : (
          <SignIn />
        )}
      </Container>
      <Expired />
    </>
  );
}

function Brand() {
  return (
    <Group gap={8}>
      <img src="/admin/favicon.svg" alt="" width={26} height={26} />
      <Text fw={700} size="lg" style={{ letterSpacing: "-0.02em" }}>
        Taskwire
      </Text>
    </Group>
  );
}
