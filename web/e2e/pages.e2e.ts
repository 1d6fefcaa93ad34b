import AxeBuilder from "@axe-core/playwright";
import { ObjectId } from "mongodb";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FIRST_LOAD_MAX } from "../bundle.ts";
import { full, launch, loaded, type Opened, open, signIn, visit } from "./browser";
import { eventually, Stack } from "./stack";

let stack: Stack;
let browser: Browser;
let places: { name: string; path: string; ready: string }[];

beforeAll(async () => {
  stack = await Stack.start();
  browser = await launch();
  // Before the first call: the API knows for some seconds whose admin somebody is.
  for (const name of ["Office", "משפחת כהן (תל אביב)"]) await stack.service.addGroup(new ObjectId(), name);
  const hook = await stack.webhook({
    retryPolicy: { maxAttempts: 1, backoffSeconds: 1 },
    headers: { "X-Api-Key": "k-123" },
  });
  stack.receiver.trust("/hook", hook.secret);
  await stack.webhook({ name: "Warehouse", enabled: false });
  stack.receiver.answer("/hook", 500, "no");
  await stack.service.createTask("Water the plants");
  const path = `/webhooks/${hook.id}`;
  const [dead] = await eventually("a delivery is given up", async () => {
    const { items } = await stack.api<{ items: { id: string; status: string; eventId: string }[] }>(
      "GET",
      `${path}/deliveries`,
    );
    return items.some((one) => one.status === "dead-letter") && items;
  });
  stack.receiver.answer("/hook", 200);
  await stack.service.createTask("Clean the kitchen");
  places = [
    { name: "overview", path: "/", ready: "h1" },
    { name: "webhooks", path: "/webhooks", ready: "tbody tr" },
    { name: "new webhook", path: "/webhooks/new", ready: "form" },
    { name: "deliveries", path, ready: "tbody tr" },
    { name: "a delivery", path: `${path}?delivery=${dead?.id}`, ready: "[role=dialog] .code" },
    { name: "settings", path: `${path}?tab=settings`, ready: "form" },
    { name: "secret", path: `${path}?tab=secret`, ready: "[role=tabpanel] section" },
    { name: "events", path: "/events", ready: "tbody tr" },
    { name: "an event's trace", path: `/events?event=${dead?.eventId}`, ready: "[role=dialog] [data-event]" },
    { name: "inbound", path: "/inbound", ready: "h1" },
    { name: "signature check", path: "/signature", ready: "textarea" },
    { name: "a place that is not there", path: "/nowhere", ready: "h1" },
  ];
});
afterAll(async () => {
  await browser?.close();
  await stack?.stop();
});

async function violations(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.flatMap((found) =>
    found.nodes.map((node) => `${found.id}: ${node.html.slice(0, 160)} ${node.failureSummary}`),
  );
}

const languages = ["en-GB", "he-IL"];
const looks = full
  ? (["light", "dark"] as const).flatMap((theme) => [1280, 768, 360].map((width) => ({ theme, width })))
  : [{ theme: "light" as const, width: 1280 }];

for (const locale of languages) {
  for (const { theme, width } of looks) {
    test(`axe finds nothing on any page in ${locale}, ${theme}, ${width} px wide, and nothing is cut off`, async () => {
      const opened: Opened = await open(browser, {
        locale,
        colorScheme: theme,
        viewport: { width, height: 800 },
        reducedMotion: "reduce",
      });
      const { page, complaints } = opened;
      await page.goto(`${stack.url}/admin/`);
      await page.locator("textarea").waitFor();
      expect(await violations(page), "sign-in").toEqual([]);
      await signIn(page, stack, "/", stack.token(), null);
      await page.getByRole("main").getByRole("list").waitFor();
      expect(await violations(page), "a choice of groups").toEqual([]);
      await signIn(page, stack);
      await page.locator("nav button.group").click();
      await page.getByRole("menuitem").first().waitFor();
      await loaded(page);
      expect(await violations(page), "the menu of groups").toEqual([]);
      await page.keyboard.press("Escape");
      await page.locator("nav button[aria-haspopup=menu]:not(.group)").click();
      await page.getByRole("menuitem").first().waitFor();
      expect(await violations(page), "the menu of languages").toEqual([]);
      await page.keyboard.press("Escape");
      for (const { name, path, ready } of places) {
        await visit(page, `${path}${path.includes("?") ? "&" : "?"}group=${stack.service.group}`);
        await page.locator(ready).first().waitFor();
        await loaded(page);
        expect(await violations(page), name).toEqual([]);
        const overflow = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect(overflow, `${name} is wider than the window`).toBeLessThanOrEqual(0);
      }
      expect(complaints).toEqual([]);
      await page.context().close();
    });
  }
}

test.for(languages)(
  "the first load in %s is at most 300 KB over the wire, and the charts are not in it",
  async (locale) => {
    const { page } = await open(browser, { locale });
    const sizes = new Map<string, number>();
    page.on("response", (response) => {
      const url = new URL(response.url());
      if (!url.pathname.startsWith("/admin/")) return;
      sizes.set(url.pathname, 0);
      void response
        .request()
        .sizes()
        .then((size) => sizes.set(url.pathname, size.responseBodySize));
    });
    await page.goto(`${stack.url}/admin/`, { waitUntil: "networkidle" });
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
    console.log(
      `first load in ${locale}: ${Math.round(total / 1024)} KB, first contentful paint ${Math.round(paint ?? 0)} ms`,
    );
    expect(total).toBeGreaterThan(50 * 1024);
    expect(total).toBeLessThanOrEqual(FIRST_LOAD_MAX);
    const other = locale === "he-IL" ? "/en-" : "/he-";
    expect([...sizes.keys()].filter((path) => path.includes(other))).toEqual([]);
    expect([...sizes.keys()].filter((path) => path.includes("HourChart"))).toEqual([]);
  },
);
