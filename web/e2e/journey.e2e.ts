import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { launch, type Opened, open, picture, signIn, visit } from "./browser";
import { Host } from "./host";
import { eventually, freePort, Stack, tokenFor } from "./stack";

let stack: Stack;
let browser: Browser;
let host: Host;
/** What the host's next `getToken()` gives. */
let nextToken = "";

beforeAll(async () => {
  const port = await freePort();
  const taskwire = `http://127.0.0.1:${port}`;
  // The host's address has to be known to the API before it starts, and the other way round.
  const state = { token: () => nextToken, groupId: "", locale: "he-IL", theme: "dark", taskwire };
  host = await Host.listen(state);
  stack = await Stack.start({ frameAncestors: host.origin, port });
  state.groupId = stack.service.group;
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await host?.close();
  await stack?.stop();
});

describe.sequential("a group's admin", () => {
  let opened: Opened;
  let page: Page;
  let hook: string;
  const row = (state: string) => page.locator("tbody tr", { hasText: state });

  beforeAll(async () => {
    opened = await open(browser);
    page = opened.page;
    await signIn(page, stack);
  });
  afterEach(({ task }) => (task.result?.state === "fail" ? picture(page) : undefined));

  test("is told what to do first, and creates a webhook", async () => {
    await page.getByRole("link", { name: "Webhooks", exact: true }).click();
    await page.getByText("No webhooks yet").waitFor();
    await page.getByRole("link", { name: "New webhook" }).first().click();
    await page.getByLabel(/^Name/).fill("Payroll");
    await page.getByLabel("Target URL").fill(stack.receiver.url("/payroll"));
    await page.getByLabel("Attempts in all").fill("2");
    await page.getByLabel("First wait").fill("1");
    await page.getByText("1 retry over 1 sec").waitFor();
    await page.getByRole("button", { name: "Create webhook" }).click();
    const secret = (await page.getByTestId("secret").textContent()) ?? "";
    expect(secret).toMatch(/^whsec_/);
    stack.receiver.trust("/payroll", secret);
    await page.getByRole("button", { name: "I have stored it" }).click();
    await page.getByText("Nothing delivered yet").waitFor();
    hook = new URL(page.url()).pathname.split("/").at(-1) ?? "";
  });

  test("sees a task's event delivered, with its attempt and the exact body", async () => {
    await stack.service.createTask("Water the plants");
    await row("Delivered").waitFor();
    expect(stack.receiver.at("/payroll")).toMatchObject([
      { event: "task.created", taskName: "Water the plants", verified: true },
    ]);
    await row("Delivered").click();
    const drawer = page.getByRole("dialog", { name: "Delivery" });
    await drawer.getByText(/Attempt 1 · 200/).waitFor();
    await drawer.getByText('"name": "Water the plants"').waitFor();
    await drawer.getByRole("button", { name: "Close" }).click();
  });

  test("sees a delivery fail, be tried again and given up, with the receiver's answer", async () => {
    stack.receiver.answer("/payroll", 503, "payroll is restarting");
    await stack.service.createTask("Clean the kitchen");
    await page.getByRole("button", { name: "1 new delivery: show" }).click();
    await row("Given up").waitFor();
    await row("Given up").click();
    const drawer = page.getByRole("dialog", { name: "Delivery" });
    await drawer.getByText(/Attempt 2 · 503/).waitFor();
    await drawer.getByText("payroll is restarting").first().waitFor();
  });

  test("replays it once the receiver works again", async () => {
    stack.receiver.answer("/payroll", 200);
    const drawer = page.getByRole("dialog", { name: "Delivery" });
    await drawer.getByRole("button", { name: "Replay" }).click();
    await drawer.getByText(/Attempt 3 · 200/).waitFor();
    await drawer.getByRole("button", { name: "Close" }).click();
    await eventually("no delivery is given up any more", async () => (await row("Given up").count()) === 0);
    expect(stack.receiver.at("/payroll").at(-1)).toMatchObject({ taskName: "Clean the kitchen", verified: true });
  });

  test("rotates the secret: both sign until the rotation is finished", async () => {
    await page.getByRole("tab", { name: "Secret" }).click();
    await page.getByRole("button", { name: "Rotate secret" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Rotate secret" }).click();
    const secret = (await page.getByTestId("secret").textContent()) ?? "";
    await page.getByRole("button", { name: "I have stored it" }).click();
    await page.getByText("Two secrets are valid").waitFor();

    const before = stack.receiver.at("/payroll").length;
    await eventually("the sender knows both", async () => {
      await stack.service.createTask("Two signatures");
      return stack.receiver
        .at("/payroll")
        .slice(before)
        .some((one) => one.signatures === 2 && one.verified);
    });
    await page.getByRole("button", { name: "Finish rotation" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Finish rotation" }).click();
    await page.getByText("Two secrets are valid").waitFor({ state: "detached" });
    stack.receiver.trust("/payroll", secret);
    await eventually("the sender knows the new one alone", async () => {
      await stack.service.createTask("One signature");
      const last = stack.receiver.at("/payroll").at(-1);
      return last?.signatures === 1 && last.verified;
    });
  });

  test("is shown what another admin changed before it would be overwritten", async () => {
    await page.getByRole("tab", { name: "Settings" }).click();
    await page.getByLabel(/^Name/).fill("Wages");
    await stack.api("PUT", `/webhooks/${hook}`, { timeoutSeconds: 7 });
    await page.getByRole("button", { name: "Save changes" }).click();
    const conflict = page.getByTestId("conflict");
    await conflict.getByText("Time limit").waitFor();
    await conflict.getByRole("button", { name: "Save my changes on top" }).click();
    await page.getByRole("heading", { name: "Wages" }).waitFor();
    expect(await stack.api("GET", `/webhooks/${hook}`)).toMatchObject({ name: "Wages", timeoutSeconds: 7 });
  });

  test("pauses it, and nothing more is sent", async () => {
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    await page.getByText("Paused by an admin.", { exact: false }).waitFor();
    expect(await stack.api("GET", `/webhooks/${hook}`)).toMatchObject({
      enabled: false,
      health: { disabledReason: "admin" },
    });
  });

  test("reads in the event log who was told of what, and why not", async () => {
    await stack.service.createTask("Nobody hears of this");
    await visit(page, `/events?group=${stack.service.group}`);
    await eventually("the newest event was sent to nobody", async () => {
      await page.locator("tbody tr").first().click();
      const trace = page.getByRole("dialog", { name: "Event" });
      const off = await trace
        .getByText("The webhook was off at the time.")
        .waitFor({ timeout: 1_000 })
        .then(
          () => true,
          () => false,
        );
      await trace.getByRole("button", { name: "Close" }).click();
      const news = page.getByRole("button", { name: /new events?: show/ });
      if (!off && (await news.count()) > 0) await news.click();
      return off;
    });
  });

  test("goes on after the token expired, with what was typed", async () => {
    await visit(page, `/webhooks/new?group=${stack.service.group}`);
    await page.getByLabel(/^Name/).fill("Typed before");
    await page.getByLabel("Target URL").fill(stack.receiver.url("/later"));
    // As if the hour were over.
    await page.route("**/api/integrations/**", (route) =>
      route.fulfill({
        status: 401,
        contentType: "application/problem+json",
        body: '{"title":"Not signed in","detail":"no longer"}',
      }),
    );
    await page.getByRole("button", { name: "Create webhook" }).click();
    const expired = page.getByRole("dialog", { name: "Your sign-in has expired" });
    await expired.getByLabel("Token").fill(stack.token());
    await page.unroute("**/api/integrations/**");
    await expired.getByRole("button", { name: "Sign in" }).click();
    await page.getByTestId("secret").waitFor();
    const made = await stack.api<{ items: { name: string }[] }>("GET", `/webhooks?groupId=${stack.service.group}`);
    expect(made.items.map((one) => one.name).sort()).toEqual(["Typed before", "Wages"]);
    await page.getByRole("button", { name: "I have stored it" }).click();
  });

  test("deletes it by typing its name", async () => {
    await page.getByRole("button", { name: "More actions" }).click();
    await page.getByRole("menuitem", { name: "Delete…" }).click();
    const dialog = page.getByRole("dialog");
    const remove = dialog.getByRole("button", { name: "Delete webhook" });
    expect(await remove.isDisabled()).toBe(true);
    await dialog.getByRole("textbox").fill("Typed before");
    await remove.click();
    await page.getByText(/“\W?Typed before\W?” is deleted\./).waitFor();
    expect(new URL(page.url()).pathname).toBe("/admin/webhooks");
  });

  test("never had an error or a refusal of the page's policy, and has no token in storage", async () => {
    expect(opened.complaints).toEqual([]);
    const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie);
    expect(stored).not.toContain("eyJ");
  });
});

describe.sequential("inside the task service's page", () => {
  test("it takes token, group, language and theme from the host, and asks again when the token is over", async () => {
    // Past the 30 s by which clocks may differ.
    nextToken = tokenFor(stack.service.admin, -60);
    const { page, complaints } = await open(browser);
    await page.goto(host.origin);
    const frame = page.frameLocator("#taskwire");
    await eventually("an expired token is asked about again", async () => host.asked >= 2);
    nextToken = stack.token();
    await page.reload();
    await frame.getByRole("heading", { name: "סקירה" }).waitFor();
    expect(await frame.locator("html").getAttribute("dir")).toBe("rtl");
    expect(await frame.locator("html").getAttribute("data-mantine-color-scheme")).toBe("dark");
    await frame.getByRole("link", { name: "Webhooks", exact: true }).click();
    await frame.getByText("Wages").waitFor();
    expect(await frame.getByRole("button", { name: "שפה" }).count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test("no other origin can frame it, or sign it in by a message", async () => {
    nextToken = stack.token();
    const { page } = await open(browser);
    // The same host under another name is another origin.
    await page.goto(host.origin.replace("localhost", "127.0.0.1"));
    await page.waitForTimeout(500);
    const framed = page.frames().find((one) => one !== page.mainFrame());
    expect(await framed?.locator("#root").count()).toBe(0);
  });
});
