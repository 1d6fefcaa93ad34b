import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type RouterHistory,
  retainSearchParams,
} from "@tanstack/react-router";
import { Failure } from "../ui/States";
import { NotFound } from "./NotFound";
import { Shell } from "./Shell";
import { eventsSearch, groupSearch, listSearch, parseSearch, stringifySearch, webhookSearch } from "./search";

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
  component: lazyRouteComponent(() => import("../overview/OverviewPage"), "OverviewPage"),
});

const webhooks = createRoute({
  getParentRoute: () => root,
  path: "/webhooks",
  validateSearch: listSearch,
  component: lazyRouteComponent(() => import("../webhooks/ListPage"), "ListPage"),
});

const newWebhook = createRoute({
  getParentRoute: () => root,
  path: "/webhooks/new",
  component: lazyRouteComponent(() => import("../webhooks/NewPage"), "NewPage"),
});

const webhook = createRoute({
  getParentRoute: () => root,
  path: "/webhooks/$webhookId",
  validateSearch: webhookSearch,
  component: lazyRouteComponent(() => import("../webhooks/WebhookPage"), "WebhookPage"),
});

const events = createRoute({
  getParentRoute: () => root,
  path: "/events",
  validateSearch: eventsSearch,
  component: lazyRouteComponent(() => import("../events/EventsPage"), "EventsPage"),
});

const inbound = createRoute({
  getParentRoute: () => root,
  path: "/inbound",
  component: lazyRouteComponent(() => import("../inbound/InboundPage"), "InboundPage"),
});

const signature = createRoute({
  getParentRoute: () => root,
  path: "/signature",
  component: lazyRouteComponent(() => import("../signature/SignaturePage"), "SignaturePage"),
});

export const createAppRouter = (history?: RouterHistory) =>
  createRouter({
    routeTree: root.addChildren([overview, webhooks, newWebhook, webhook, events, inbound, signature]),
    basepath: "/admin",
    parseSearch,
    stringifySearch,
    defaultPreload: "intent",
    scrollRestoration: true,
    history,
  });
export const router = createAppRouter();

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
