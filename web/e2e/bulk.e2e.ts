import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { full, launch, open, picture, signIn, visit } from "./browser";
import { eventually, Stack } from "./stack";

const TASKS = 6;

describe.runIf(full).sequential("many deliveries at once", () => {
  let stack: Stack;
  let browser: Browser;
  let page: Page;
  let complaints: string[];
  let hook: string;
  const dialog = (name: string) => page.getByRole("dialog", { name });
  const dead = () => page.locator("tbody tr", { hasText: "Given up" }).count();

  beforeAll(async () => {
    stack = await Stack.start();
    browser = await launch();
    stack.receiver.answer("/hook", 500, "down");
    const made = await stack.webhook({ retryPolicy: { maxAttempts: 1, backoffSeconds: 1 } });
    hook = made.id;
    stack.receiver.trust("/hook", made.secret);
    for (let number = 1; number <= TASKS; number++) await stack.service.createTask(`Task ${number}`);
    await given(TASKS);
    ({ page, complaints } = await open(browser));
    await signIn(page, stack, `/webhooks/${hook}`);
  });
  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });
  afterEach(({ task }) => (task.result?.state === "fail" ? picture(page) : undefined));

  const given = (count: number) =>
    eventually(`${count} are given up`, async () => {
      const { items } = await stack.api<{ items: unknown[] }>(
        "GET",
        `/webhooks/${hook}/deliveries?status=dead-letter&limit=200`,
      );
      return items.length === count;
    });

  test("are counted first, replayed with the list's filter, and the progress is told", async () => {
    stack.receiver.answer("/hook", 200);
    await page.getByLabel("State", { exact: true }).selectOption("Given up");
    await page.getByRole("button", { name: "Replay all that match…" }).click();
    const replay = dialog("Replay deliveries");
    await replay.getByRole("button", { name: "Count first" }).click();
    await replay.getByText(`${TASKS} deliveries match.`).waitFor();
    expect(stack.receiver.at("/hook"), "counting sends nothing").toHaveLength(TASKS);
    await replay.getByRole("button", { name: `Replay ${TASKS}` }).click();
    await replay.getByText(`Done: ${TASKS} of ${TASKS} queued, 0 left out.`).waitFor();
    await replay.getByRole("button", { name: "Close" }).last().click();
    await page.getByText("Nothing matches").waitFor();
    await page.getByRole("button", { name: "Clear filters" }).first().click();
    await eventually("all have arrived", async () => stack.receiver.at("/hook").length === 2 * TASKS);
    expect(stack.receiver.at("/hook").every((one) => one.verified)).toBe(true);
    await eventually("none is shown as given up", async () => (await dead()) === 0);
  });

  test("can be stopped while they are replayed, and what was not begun is left as it was", async () => {
    stack.receiver.answer("/hook", 500, "down");
    for (let number = 1; number <= TASKS; number++) await stack.service.createTask(`More ${number}`);
    await given(TASKS);
    // Nobody works on it: it stands at the beginning for as long as this takes.
    stack.signal("taskwire-indexer", "SIGSTOP");
    try {
      await page.getByRole("button", { name: "Replay all that match…" }).click();
      const replay = dialog("Replay deliveries");
      await replay.getByRole("button", { name: "Count first" }).click();
      await replay.getByRole("button", { name: `Replay ${TASKS}` }).click();
      await replay.getByText(`0 of ${TASKS} queued, 0 left out…`).waitFor();
      await replay.getByRole("button", { name: "Stop" }).click();
      await replay.getByText(`Stopped after 0 of ${TASKS}.`, { exact: false }).waitFor();
      await replay.getByRole("button", { name: "Close" }).last().click();
    } finally {
      stack.signal("taskwire-indexer", "SIGCONT");
    }
    await given(TASKS);
  });

  test("are made for what a webhook never got: counted, delivered once, and then nothing is missed any more", async () => {
    const late = await stack.webhook({ name: "Late", targetUrl: stack.receiver.url("/late") });
    stack.receiver.trust("/late", late.secret);
    await visit(page, `/webhooks/${late.id}?group=${stack.service.group}`);
    await page.getByText("Nothing delivered yet").waitFor();
    await page.getByRole("button", { name: "More actions" }).click();
    await page.getByRole("menuitem", { name: "Backfill…" }).click();
    const backfill = dialog("Backfill");
    await backfill.getByRole("button", { name: "Count first" }).click();
    await backfill.getByText(`${2 * TASKS} events were missed.`).waitFor();
    expect(stack.receiver.at("/late")).toEqual([]);
    await backfill.getByRole("button", { name: `Deliver ${2 * TASKS}` }).click();
    await backfill.getByText(`Done: ${2 * TASKS} of ${2 * TASKS} queued, 0 left out.`).waitFor();
    await backfill.getByRole("button", { name: "Close" }).last().click();
    await eventually("all have arrived", async () => stack.receiver.at("/late").length === 2 * TASKS);
    expect(stack.receiver.at("/late").every((one) => one.verified)).toBe(true);
    await eventually("all are shown", async () => (await page.locator("tbody tr").count()) === 2 * TASKS);

    await page.getByRole("button", { name: "More actions" }).click();
    await page.getByRole("menuitem", { name: "Backfill…" }).click();
    await backfill.getByRole("button", { name: "Count first" }).click();
    await backfill.getByText("Nothing was missed in this time.").waitFor();
    await backfill.getByRole("button", { name: "Cancel" }).click();
    expect(complaints).toEqual([]);
  });
});
