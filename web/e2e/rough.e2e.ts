import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { beginIsSeen, full, launch, loaded, type Opened, open, overflow, picture, signIn, visit } from "./browser";
import { eventually, Stack } from "./stack";

const LONG_NAME = "Payroll".repeat(28).padEnd(200, "!");
const LONG_URL = `https://partner.example/hooks/${"x".repeat(1900)}?token=abc`;
const MIXED = "שכר (ישן)";
const MANY = 5_000;

/** Whether what has the keyboard's attention can be seen: within the window, and not behind something else. */
const focusIsSeen = (page: Page) =>
  page.evaluate(() => {
    const focused = document.activeElement;
    if (!focused || focused === document.body) return "nothing has the attention";
    // Boxes, switches and choices are drawn by what is around them.
    const drawn = focused.matches("input[type=checkbox], input[type=radio]")
      ? (focused.closest("div") ?? focused)
      : focused;
    const { left, top, width, height } = drawn.getBoundingClientRect();
    const at = document.elementFromPoint(left + width / 2, top + Math.min(height / 2, 40));
    const seen = at !== null && (drawn.contains(at) || at.contains(drawn));
    return seen
      ? null
      : `${focused.outerHTML.slice(0, 120)} at ${Math.round(top)} is behind ${at?.outerHTML.slice(0, 80)}`;
  });

describe.runIf(full).sequential("the page under rough hands", () => {
  let stack: Stack;
  let browser: Browser;
  let hook: string;
  let page: Page;
  let opened: Opened;
  const at = (path: string) => `${path}${path.includes("?") ? "&" : "?"}group=${stack.service.group}`;

  beforeAll(async () => {
    stack = await Stack.start();
    browser = await launch();
    stack.receiver.answer("/hook", 500, "down");
    const made = await stack.webhook({ name: MIXED, retryPolicy: { maxAttempts: 1, backoffSeconds: 1 } });
    hook = made.id;
    await stack.service.createTask("Water the plants");
    await eventually("it is given up", async () => {
      const { items } = await stack.api<{ items: unknown[] }>("GET", `/webhooks/${hook}/deliveries?status=dead-letter`);
      return items.length === 1;
    });
    await stack.service.cloneDeliveries(MANY - 1);
    const targetUrl = (number: number) => (number === 1 ? LONG_URL : `https://partner.example/${number}`);
    for (let number = 1; number < 100; number++) {
      await stack.webhook({ name: number === 1 ? LONG_NAME : `Hook ${number}`, targetUrl: targetUrl(number) });
    }
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail" && page) await picture(page);
    await page?.context().close();
  });
  async function begin(path: string, options: Parameters<typeof open>[1] = {}) {
    opened = await open(browser, { reducedMotion: "reduce", ...options });
    page = opened.page;
    await signIn(page, stack, path);
  }

  for (const locale of ["en-GB", "he-IL"]) {
    for (const width of [1280, 360]) {
      test(`keeps a hundred webhooks, long names and long URLs in their places in ${locale}, ${width} px wide`, async () => {
        await begin("/webhooks", { locale, viewport: { width, height: 800 } });
        await page.locator("tbody tr").nth(99).waitFor();
        expect(await overflow(page), "list").toEqual([]);
        // Cut at its end, not at its beginning, in either direction of writing.
        const url = page.locator(".ellipsis", { hasText: "https://partner.example/hooks/" });
        expect(await url.evaluate(beginIsSeen), "the URL's beginning is to be seen").toBe(true);
        const id = (await page.locator("tbody tr", { hasText: "PayrollPayroll" }).getAttribute("data-id")) ?? "";
        for (const path of ["/", `/webhooks/${id}`, `/webhooks/${id}?tab=settings`, `/webhooks/${hook}`]) {
          await visit(page, at(path));
          await page.locator("h1").waitFor();
          await loaded(page);
          expect(await overflow(page), path).toEqual([]);
        }
        await visit(page, at(`/webhooks/${id}`));
        await page.locator("h1", { hasText: "PayrollPayroll" }).waitFor();
        await page.locator("button[aria-haspopup=menu]").last().click();
        await page.getByRole("menuitem").last().click();
        const dialog = page.getByRole("dialog");
        await dialog.getByRole("textbox").fill(LONG_NAME);
        const outside = await dialog.evaluate((node) =>
          [...node.querySelectorAll("*")]
            .filter((part) => part.tagName !== "INPUT" && part.scrollWidth > node.clientWidth)
            .map((part) => part.outerHTML.slice(0, 100)),
        );
        expect(outside, "the dialog holds the name").toEqual([]);
        await page.keyboard.press("Escape");
        expect(opened.complaints).toEqual([]);
      });
    }
  }

  test("says in its own words that a hundred webhooks are the most", async () => {
    await begin("/webhooks/new");
    await page.getByLabel(/^Name/).fill("One too many");
    await page.getByLabel("Target URL").fill("https://partner.example/more");
    await page.getByRole("button", { name: "Create webhook" }).click();
    await page.getByRole("alert").getByText("100", { exact: false }).first().waitFor();
    expect(await page.getByLabel(/^Name/).inputValue()).toBe("One too many");
  });

  test("goes through thousands of deliveries, and stays quick", async () => {
    await begin(`/webhooks/${hook}`);
    const rows = page.locator("tbody tr");
    await rows.first().waitFor();
    for (let older = 1; older <= 19; older++) {
      await page.getByRole("button", { name: "Show older" }).click();
      await eventually("there are more rows", async () => (await rows.count()) === (older + 1) * 50);
    }
    const box = rows.nth(500).getByRole("checkbox");
    await box.check();
    const took = await page.evaluate(async () => {
      const box = document.querySelectorAll<HTMLElement>("tbody input[type=checkbox]")[600];
      const begun = performance.now();
      box?.click();
      await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
      return performance.now() - begun;
    });
    console.log(`ticking one of 1,000 rows takes ${Math.round(took)} ms`);
    await page.getByRole("button", { name: "Replay 2 selected" }).waitFor();
    expect(took).toBeLessThan(1_000);
  });

  test("is used with the keyboard alone: what has the attention is always seen, and never lost", async () => {
    await begin("/webhooks", { viewport: { width: 1280, height: 600 } });
    await page.locator("tbody tr").nth(99).waitFor();
    const press = async (key: string) => {
      await page.keyboard.press(key);
      expect(await focusIsSeen(page), key).toBeNull();
    };
    // From the top: the skip link leads past the navigation.
    await page.locator("a.skip").focus();
    await page.keyboard.press("Enter");
    for (let step = 0; step < 14; step++) await press("Tab");
    await page.locator("tbody tr").nth(3).getByRole("link").focus();
    await page.keyboard.press("Enter");
    await page.getByRole("tab", { name: "Settings" }).waitFor();
    await eventually("the new page has the attention", async () => (await focusIsSeen(page)) === null);
    await page.getByRole("tab", { name: "Deliveries" }).focus();
    await page.keyboard.press("ArrowRight");
    await page.getByLabel(/^Name/).waitFor();
    // Through the whole form and back, with its bar at the window's lower end.
    let steps = 0;
    for (; steps < 40; steps++) {
      await page.keyboard.press("Tab");
      // Behind the last control the browser has the attention.
      if (await page.evaluate(() => document.activeElement === document.body)) break;
      expect(await focusIsSeen(page), `Tab ${steps}`).toBeNull();
    }
    expect(steps).toBeGreaterThan(12);
    for (let step = 0; step < steps; step++) await press("Shift+Tab");
    expect(opened.complaints).toEqual([]);
  });

  test("asks for a new token above whatever dialog is open, and goes on with what was under way", async () => {
    await begin(`/webhooks/${hook}`);
    await page.getByRole("button", { name: "Replay all that match…" }).click();
    const replay = page.getByRole("dialog", { name: "Replay deliveries" });
    await page.route("**/api/integrations/**", (route) => route.fulfill({ status: 401, json: { title: "no longer" } }));
    await replay.getByRole("button", { name: "Count first" }).click();
    const expired = page.getByRole("dialog", { name: "Your sign-in has expired" });
    await expired.waitFor();
    await page.unroute("**/api/integrations/**");
    await expired.getByLabel("Token").click();
    await page.keyboard.insertText(stack.token());
    await expired.getByRole("button", { name: "Sign in" }).click();
    await replay.getByText(/deliveries match/).waitFor();
  });

  test("bears an API that takes two seconds for each answer: everything is begun once, and nothing falls back", async () => {
    await begin("/webhooks");
    await page.locator("tbody tr").nth(99).waitFor();
    await page.route("**/api/integrations/**", async (route) => {
      await new Promise((later) => setTimeout(later, 2_000));
      await route.continue().catch(() => {});
    });
    const calls: string[] = [];
    page.on("request", (request) => {
      if (request.method() !== "GET") calls.push(request.method());
    });
    const row = page.locator("tbody tr", { hasText: MIXED });
    const toggle = row.getByRole("switch");
    await toggle.click({ force: true });
    // From now on it is off, whatever is loaded meanwhile.
    const states = new Set<boolean>();
    for (let look = 0; look < 50; look++) {
      states.add(await toggle.isChecked());
      await page.waitForTimeout(100);
    }
    expect([...states]).toEqual([false]);
    await row.getByRole("link").press("Enter");
    await page.getByRole("button", { name: "Resume", exact: true }).dblclick();
    await page.getByRole("button", { name: "Pause", exact: true }).waitFor();
    expect(calls).toEqual(["PUT", "PUT"]);
    expect(opened.complaints).toEqual([]);
  });

  test("bears an API that goes away in the middle of an edit: it is said, and saving works once it is back", async () => {
    await begin(`/webhooks/${hook}?tab=settings`);
    await page.getByLabel(/^Name/).fill("Typed meanwhile");
    await stack.kill("taskwire-api");
    try {
      await page.getByRole("button", { name: "Save changes" }).click();
      await page.getByRole("alert").getByText("Taskwire cannot be reached").waitFor();
      await page.getByText("Taskwire does not answer at present.", { exact: false }).waitFor();
    } finally {
      await stack.restart("taskwire-api");
    }
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "Typed meanwhile" }).waitFor();
    await page.getByText("Taskwire does not answer at present.", { exact: false }).waitFor({ state: "detached" });
  });
});
