import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type RouterHistory,
  retainSearchParams,
} from "@tanstack/react-router";
import * as z from "zod";
import { DELIVERY_STATUSES, EVENT_TYPES } from "../api/types";
import { Failure } from "../ui/States";
import { NotFound } from "./NotFound";
import { Shell } from "./Shell";

const text = z.string().min(1).optional().catch(undefined);
const eventType = z.enum(EVENT_TYPES).optional().catch(undefined);

const root = createRootRoute({
  validateSearch: z.object({ group: text }),
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
  validateSearch: z.object({
    q: text,
    health: z.enum(["healthy", "failing", "disabled"]).optional().catch(undefined),
  }),
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
  validateSearch: z.object({
    tab: z.enum(["deliveries", "settings", "secret"]).optional().catch(undefined),
    status: z.enum(DELIVERY_STATUSES).optional().catch(undefined),
    eventType,
    task: text,
    since: text,
    until: text,
    delivery: text,
  }),
  component: lazyRouteComponent(() => import("../webhooks/WebhookPage"), "WebhookPage"),
});

const events = createRoute({
  getParentRoute: () => root,
  path: "/events",
  validateSearch: z.object({ task: text, eventType, since: text, until: text, event: text }),
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

/** Values are texts as they stand: an id that looks like a number stays what it is. */
const parseSearch = (search: string) => Object.fromEntries(new URLSearchParams(search));
const stringifySearch = (search: Record<string, unknown>) => {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (value !== undefined && value !== null && value !== "") params.set(name, String(value));
  }
  const shown = params.toString();
  return shown ? `?${shown}` : "";
};

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
