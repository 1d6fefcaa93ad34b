import { DirectionProvider, MantineProvider, useDirection, useMantineColorScheme } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useEffect, useEffectEvent } from "react";
import { queryClient } from "../api/queries";
import { languageOf, setLanguage, useLanguage } from "../i18n";
import { type HostMessage, startEmbedding } from "../session/embed";
import { session, useSession } from "../session/session";
import { Notices } from "../ui/Notices";
import { ConfirmProvider } from "../ui/useConfirm";
import { showGroup } from "./group";
import { loadPages, router } from "./router";
import { theme } from "./theme";

/** The server writes a fresh nonce into the page; only styles that carry it are taken. */
const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
// What the scroll lock of dialogs looks for.
Object.assign(globalThis, { __webpack_nonce__: nonce });

function FollowLanguage() {
  const language = useLanguage();
  const { setDirection } = useDirection();
  useEffect(() => setDirection(language === "he" ? "rtl" : "ltr"), [language, setDirection]);
  return null;
}

/** Takes what the page around this one says. */
function FollowHost() {
  const { setColorScheme } = useMantineColorScheme();
  const take = useEffectEvent((message: HostMessage) => {
    // A host says the group with every token: only another one leads elsewhere.
    if (message.groupId) showGroup(router, message.groupId);
    // Texts that cannot be loaded leave the language as it is.
    if (message.locale) setLanguage(languageOf(message.locale)).catch(() => {});
    if (message.theme) setColorScheme(message.theme);
    if (message.token) session.signIn(message.token);
  });
  // The host is listened to once, for as long as the page lives.
  useEffect(() => startEmbedding((message) => take(message)), []);
  return null;
}

/** How long the first page is left alone with the network. */
const FIRST_PAGE_MS = 3_000;

function LoadAhead() {
  const isIn = useSession().token !== null;
  useEffect(() => {
    if (!isIn) return;
    const timer = setTimeout(loadPages, FIRST_PAGE_MS);
    return () => clearTimeout(timer);
  }, [isIn]);
  return null;
}

export function App() {
  return (
    <DirectionProvider detectDirection={false} initialDirection="ltr">
      <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
        <QueryClientProvider client={queryClient}>
          <FollowLanguage />
          <FollowHost />
          <LoadAhead />
          <Notices />
          <ConfirmProvider>
            <RouterProvider router={router} />
          </ConfirmProvider>
        </QueryClientProvider>
      </MantineProvider>
    </DirectionProvider>
  );
}
