import {
  createRootRoute,
  createRoute,
  createRouter,
  type RouterHistory,
  retainSearchParams,
} from "@tanstack/react-router";
import { Failure } from "../ui/States";
import { lazyPage } from "./lazyPage";
import { NotFound } from "./NotFound";
import { PageFailure } from "./PageFailure";
import { Shell } from "./Shell";
import { eventsSearch, groupSearch, listSearch, parseSearch, stringifySearch, webhookSearch } from "./search";

const pages = {
  OverviewPage: lazyPage(() => import("../overview/OverviewPage"), "OverviewPage"),
  ListPage: lazyPage(() => import("../webhooks/ListPage"), "ListPage"),
  NewPage: lazyPage(() => import("../webhooks/NewPage"), "NewPage"),
  WebhookPage: lazyPage(() => import("../webhooks/WebhookPage"), "WebhookPage"),
  EventsPage: lazyPage(() => import("../events/EventsPage"), "EventsPage"),
  InboundPage: lazyPage(() => import("../inbound/InboundPage"), "InboundPage"),
  SignaturePage: lazyPage(() => import("../signature/SignaturePage"), "SignaturePage"),
};

/** Going to a page then waits for its data only, and needs no script that the server may no longer have. */
export async function loadPages() {
  try {
    for (const page of Object.values(pages)) await page.preload();
  } catch {
    // Loaded when it is gone to, where a failure is said.
  }
}

const root = createRootRoute({
  validateSearch: groupSearch,
  search: { middlewares: [retainSearchParams(["group"])] },
  component: Shell,
  notFoundComponent: NotFound,
  errorComponent: ({ error, reset }) => <Failure error={error} retry={reset} />,
});

const overview = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: pages.OverviewPage,
});

const webhooks = createRoute({
  getParentRoute: () => root,
  path: "/webhooks",
  validateSearch: listSearch,
  component: pages.ListPage,
});

const newWebhook = createRoute({
  getParentRoute: () => root,
  path: "/webhooks/new",
  component: pages.NewPage,
});

const webhook = createRoute({
  getParentRoute: () => root,
  path: "/webhooks/$webhookId",
  validateSearch: webhookSearch,
  component: pages.WebhookPage,
});

const events = createRoute({
  getParentRoute: () => root,
  path: "/events",
  validateSearch: eventsSearch,
  component: pages.EventsPage,
});

const inbound = createRoute({
  getParentRoute: () => root,
  path: "/inbound",
  component: pages.InboundPage,
});

const signature = createRoute({
  getParentRoute: () => root,
  path: "/signature",
  component: pages.SignaturePage,
});

export const createAppRouter = (history?: RouterHistory) =>
  createRouter({
    routeTree: root.addChildren([overview, webhooks, newWebhook, webhook, events, inbound, signature]),
    basepath: "/admin",
    parseSearch,
    stringifySearch,
    defaultPreload: "intent",
    defaultErrorComponent: PageFailure,
    scrollRestoration: true,
    history,
  });
export const router = createAppRouter();

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
