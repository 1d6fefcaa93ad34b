import { Alert, Box, Button, Container, Group, Text } from "@mantine/core";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useAnswers } from "../api/connection";
import { queryClient } from "../api/queries";
import { useT } from "../i18n";
import { Expired } from "../session/Expired";
import { readClaims } from "../session/jwt";
import { SignIn } from "../session/SignIn";
import { useSession } from "../session/session";
import { Icon } from "../ui/Icon";
import { GroupGate } from "./GroupGate";
import { HeaderTools } from "./HeaderTools";
import { groupSearch } from "./search";
import { useKeptPlace } from "./useKeptPlace";

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
function useCleanCache(token: string | null) {
  const user = token === null ? null : (readClaims(token)?.sub ?? "");
  const before = useRef(user);
  useEffect(() => {
    if (before.current !== null && user === null) queryClient.clear();
    else if (before.current !== null && user !== before.current) void queryClient.resetQueries();
    before.current = user;
  }, [user]);
}

/** Where what had the keyboard's attention went with the page before, it goes to the new page's beginning. */
function useFocusOnNewPage() {
  const place = useRouterState({
    select: ({ resolvedLocation: at }) => at && `${at.pathname} ${groupSearch(at.search).group ?? ""}`,
  });
  const before = useRef(place);
  useEffect(() => {
    const isNew = before.current !== undefined && before.current !== place;
    before.current = place;
    if (isNew && document.activeElement === document.body)
      document.getElementById("main")?.focus({ preventScroll: true });
  }, [place]);
}

export function Shell() {
  const t = useT();
  const { token, embedded } = useSession();
  const online = useOnline();
  const answers = useAnswers();
  useCleanCache(token);
  useFocusOnNewPage();
  useKeptPlace();
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
        {online && answers ? null : (
          <Alert color="yellow" mb="md" icon={<Icon name="offline" />} role="status">
            {t(online ? "state.silent" : "state.browserOffline")}
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
      <Text fw={700} size="lg" visibleFrom="xs" style={{ letterSpacing: "-0.02em" }}>
        Taskwire
      </Text>
    </Group>
  );
}
