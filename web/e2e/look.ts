import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Document, ObjectId } from "mongodb";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, loaded, open, signIn, visit } from "./browser";
import { Sample } from "./sample";
import { eventually, freePort, Stack } from "./stack";

// Pictures of every page in the folder TASKWIRE_LOOK, for people to look at: no test, so its name ends otherwise.

const out = process.env.TASKWIRE_LOOK ?? "";
let stack: Stack;
let browser: Browser;
let sample: Sample;
let payroll: string;
let chat: string;

beforeAll(async () => {
  mkdirSync(out, { recursive: true });
  const port = await freePort();
  stack = await Stack.start({ frameAncestors: `http://localhost:${port}` });
  browser = await launch();
  ({ payroll, chat } = await furnish());
  for (const name of GROUPS) await stack.service.addGroup(new ObjectId(), name);
  sample = await Sample.start(stack, port, `${stack.service.group}=Household`);
});
afterAll(async () => {
  await browser?.close();
  sample?.stop();
  await stack?.stop();
});

/** A group as one looks that has had webhooks for a while. */
async function furnish() {
  stack.receiver.answer("/chat", 503, "upstream is restarting");
  const hook = await stack.webhook();
  stack.receiver.trust("/hook", hook.secret);
  const retries = { maxAttempts: 3, backoffSeconds: 1 };
  const headers = { Authorization: "Bearer abc" };
  const other = await stack.webhook({
    name: "Team chat",
    targetUrl: stack.receiver.url("/chat"),
    retryPolicy: retries,
    headers,
  });
  await stack.webhook({ name: "Warehouse (old)", targetUrl: "https://warehouse.example/taskwire", enabled: false });
  await day(hook.id, 1);
  await day(other.id, 0.35);
  for (const name of ["Water the plants", "Clean the kitchen", "Take out the rubbish"]) {
    const id = await stack.service.createTask(name, true);
    await stack.service.change(id, { Difficulty: 5 });
    await stack.service.change(id, { Status: 4 });
    await stack.service.complete(id);
  }
  await eventually("some are given up", async () => {
    const { items } = await stack.api<{ items: unknown[] }>(
      "GET",
      `/webhooks/${other.id}/deliveries?status=dead-letter`,
    );
    return items.length >= 6;
  });
  return { payroll: hook.id, chat: other.id };
}

/** A day's figures, as the dispatcher would have counted them. */
async function day(webhook: string, busy: number) {
  const now = Math.floor(Date.now() / 3_600_000);
  const hours = Array.from({ length: 23 }, (_, back) => {
    const hour = (now - back - 1) * 3600;
    const curve = 1 + Math.sin(((new Date(hour * 1000).getUTCHours() - 8) / 24) * 2 * Math.PI);
    const attempts = Math.round((14 + 60 * curve) * busy);
    const failures = back === 6 ? Math.round(attempts * 0.4) : back % 5 === 0 ? 2 : 0;
    return {
      _id: `${webhook}/${String(hour).padStart(12, "0")}`,
      groupId: new ObjectId(stack.service.group),
      webhookId: new ObjectId(webhook),
      hour: new Date(hour * 1000),
      successes: attempts - failures,
      failures,
      deadLetters: 0,
      took: { 7: Math.round(attempts * 0.5), 9: Math.round(attempts * 0.4), 13: Math.round(attempts * 0.1) },
      expireAt: new Date((hour + 86_400) * 1000),
    };
  });
  await stack.service.db.collection<Document & { _id: string }>("deliveryStats").insertMany(hours);
}

const GROUPS = ["Office", "משפחת כהן (תל אביב)", "Donaudampfschifffahrtsgesellschaft".repeat(4), "Sports club"];

/** A choice of groups, the switcher, and a group of others. */
async function shootGroups(page: Page, suffix: string) {
  await signIn(page, stack, "/", stack.token(), null);
  const list = page.getByRole("main").getByRole("list");
  await list.waitFor();
  await shoot(page, `groups${suffix}`);
  await list.getByRole("link", { name: "Household" }).click();
  await page.locator("nav button.group").click();
  await page.getByRole("menuitem").first().waitFor();
  await shoot(page, `group-menu${suffix}`, false);
  await page.getByRole("menuitem", { name: "Donau" }).click();
  await page.locator("nav button.group", { hasText: "Donau" }).waitFor();
  await shoot(page, `group-long${suffix}`, false);
  await visit(page, `/?group=${new ObjectId().toHexString()}`);
  await list.waitFor();
  await shoot(page, `group-foreign${suffix}`);
}

async function shoot(page: Page, name: string, whole = true) {
  await page.mouse.move(640, 5);
  await loaded(page);
  await page.waitForTimeout(450);
  await page.screenshot({ path: join(out, `${name}.png`), fullPage: whole });
}

async function walk(page: Page, suffix: string) {
  const places: [string, string][] = [
    ["overview", "/"],
    ["webhooks", "/webhooks"],
    ["new", "/webhooks/new"],
    ["deliveries", `/webhooks/${payroll}`],
    ["settings", `/webhooks/${payroll}?tab=settings`],
    ["secret", `/webhooks/${payroll}?tab=secret`],
    ["events", "/events"],
    ["inbound", "/inbound"],
    ["signature", "/signature"],
  ];
  for (const [name, path] of places) {
    await visit(page, `${path}${path.includes("?") ? "&" : "?"}group=${stack.service.group}`);
    await page.locator("h1").waitFor();
    await shoot(page, `${name}${suffix}`);
  }
}

const looks = [
  { suffix: "", locale: "en-GB", colorScheme: "light", width: 1280 },
  { suffix: "-dark", locale: "en-GB", colorScheme: "dark", width: 1280 },
  { suffix: "-he-dark", locale: "he-IL", colorScheme: "dark", width: 1280 },
  { suffix: "-he-360", locale: "he-IL", colorScheme: "light", width: 360 },
  { suffix: "-360", locale: "en-GB", colorScheme: "dark", width: 360 },
] as const;

for (const { suffix, locale, colorScheme, width } of looks) {
  test(`pictures ${suffix || "plain"}`, async () => {
    const { page, complaints } = await open(browser, { locale, colorScheme, viewport: { width, height: 800 } });
    await page.goto(`${stack.url}/admin/`);
    await page.locator("textarea").waitFor();
    await shoot(page, `sign-in${suffix}`);
    await shootGroups(page, suffix);
    await signIn(page, stack);
    await walk(page, suffix);
    await visit(page, `/webhooks/${chat}?group=${stack.service.group}&status=dead-letter`);
    await page.locator("tbody tr").first().click();
    await page.locator("[role=dialog] .code").first().waitFor();
    await shoot(page, `delivery${suffix}`, false);
    await page.locator("[role=dialog] header button").click();
    await visit(page, `/events?group=${stack.service.group}`);
    await page.locator("tbody tr").first().click();
    await page.locator("[role=dialog] [data-event]").first().waitFor();
    await shoot(page, `trace${suffix}`, false);
    expect(complaints).toEqual([]);
  });
}

test("pictures the sample application of the docs", async () => {
  const { page, complaints } = await open(browser);
  await page.goto(sample.url);
  const frame = page.frameLocator("iframe");
  await frame.getByRole("link", { name: "Webhooks", exact: true }).click();
  await frame.locator("tbody tr").first().waitFor();
  await shoot(page, "embedded");
  expect(complaints).toEqual([]);
});
