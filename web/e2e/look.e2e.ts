import { mkdirSync } from "node:fs";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, open, signIn, visit } from "./browser";
import { Stack } from "./stack";

const out = process.env.TASKWIRE_LOOK ?? "";
let stack: Stack;
let browser: Browser;

beforeAll(async () => {
  stack = await Stack.start();
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await stack?.stop();
});

test.runIf(out)("a look at everything", async () => {
  mkdirSync(out, { recursive: true });
  const hook = await stack.webhook();
  stack.receiver.trust("/hook", hook.secret);
  await stack.webhook({
    name: "Team chat",
    targetUrl: stack.receiver.url("/chat"),
    retryPolicy: { maxAttempts: 3, backoffSeconds: 1 },
    headers: { Authorization: "Bearer abc" },
  });
  stack.receiver.answer("/chat", 503, "upstream is restarting");
  await stack.webhook({ name: "Warehouse (old)", targetUrl: "https://warehouse.example/taskwire", enabled: false });
  for (const name of ["Water the plants", "Clean the kitchen", "Take out the rubbish"]) {
    const id = await stack.service.createTask(name, true);
    await stack.service.change(id, { Difficulty: 5 });
    await stack.service.change(id, { Status: 4 });
    await stack.service.complete(id);
  }
  await new Promise((later) => setTimeout(later, 5000));
  const { page, complaints } = await open(browser);
  await page.goto(`${stack.url}/admin/`);
  await page.locator("textarea").waitFor();
  await page.screenshot({ path: `${out}/sign-in.png` });
  await signIn(page, stack);
  const shots: [string, string][] = [
    ["overview", "/"],
    ["webhooks", "/webhooks"],
    ["new", "/webhooks/new"],
    ["deliveries", `/webhooks/${hook.id}`],
    ["settings", `/webhooks/${hook.id}?tab=settings`],
    ["secret", `/webhooks/${hook.id}?tab=secret`],
    ["events", "/events"],
    ["inbound", "/inbound"],
    ["signature", "/signature"],
  ];
  const walk = async (suffix: string) => {
    for (const [name, path] of shots) {
      await visit(page, `${path}${path.includes("?") ? "&" : "?"}group=${stack.service.group}`);
      await page.waitForTimeout(700);
      await page.screenshot({ path: `${out}/${name}${suffix}.png`, fullPage: true });
    }
  };
  await walk("");
  const chat = await stack.api<{ items: { id: string; name: string }[] }>(
    "GET",
    `/webhooks?groupId=${stack.service.group}`,
  );
  const id = chat.items.find((one) => one.name === "Team chat")?.id;
  await visit(page, `/webhooks/${id}?group=${stack.service.group}`);
  await page.locator("tbody tr").first().click();
  await page.waitForTimeout(700);
  await page.screenshot({ path: `${out}/delivery.png` });
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Dark theme" }).click();
  await walk("-dark");
  await page.getByRole("button", { name: "Light theme" }).click();
  await page.getByRole("button", { name: "Language" }).click();
  await page.getByRole("menuitem", { name: "עברית" }).click();
  await page.waitForTimeout(500);
  await walk("-he");
  await page.setViewportSize({ width: 360, height: 740 });
  await walk("-he-360");
  expect(complaints).toEqual([]);
});
