import { ObjectId } from "mongodb";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { beginIsSeen, full, launch, loaded, type Opened, open, overflow, picture, signIn } from "./browser";
import { Stack, tokenFor } from "./stack";

const HTML = "<img src=x onerror=alert(1)>";
const LONG = "Donaudampfschifffahrtsgesellschaft".repeat(6).slice(0, 200);
const MIXED = "משפחת כהן (תל אביב)";

describe.sequential("somebody with several groups", () => {
  let stack: Stack;
  let browser: Browser;
  let opened: Opened;
  let page: Page;
  const user = new ObjectId();
  const ids = new Map<string, string>();
  const header = () => page.getByRole("navigation");
  const shownGroup = () => new URL(page.url()).searchParams.get("group");

  beforeAll(async () => {
    stack = await Stack.start();
    browser = await launch();
    for (const name of ["Office", HTML, LONG, MIXED]) {
      const id = new ObjectId();
      await stack.service.addGroup(id, name, user);
      ids.set(name, id.toHexString());
    }
  });
  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail" && page) await picture(page);
    if (opened) expect(opened.complaints).toEqual([]);
    await page?.context().close();
  });
  async function begin(path: string, options: Parameters<typeof open>[1] = {}, group: string | null = null) {
    opened = await open(browser, { reducedMotion: "reduce", ...options });
    page = opened.page;
    page.on("dialog", (dialog) => opened.complaints.push(`a dialog: ${dialog.message()}`));
    await signIn(page, stack, path, tokenFor(user.toHexString()), group);
  }

  test("chooses one by its name with the keyboard, switches by name, and goes back", async () => {
    await begin("/webhooks");
    await page.getByRole("heading", { name: "Which group?" }).waitFor();
    const names = await page.getByRole("main").getByRole("link").allTextContents();
    expect(names.toSorted()).toEqual([...ids.keys()].toSorted());
    await page.getByRole("link", { name: "Office" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("No webhooks yet").waitFor();
    expect(shownGroup()).toBe(ids.get("Office"));
    // What had the keyboard's attention is gone: it goes to the page's beginning, not to the document's.
    await page.waitForFunction(() => document.activeElement?.id === "main");

    await header()
      .getByRole("button", { name: /Group .*Office/ })
      .focus();
    await page.keyboard.press("Enter");
    const current = page.getByRole("menuitem", { name: "Office" });
    await current.waitFor();
    const isAt = (name: string) => page.waitForFunction((text) => document.activeElement?.textContent === text, name);
    await page.waitForFunction(() => document.activeElement?.closest("[role=menu]") !== null);
    // A letter goes to the name that begins with it.
    await page.keyboard.press("d");
    await isAt(LONG);
    await page.keyboard.press("End");
    await isAt(MIXED);
    await page.keyboard.press("Enter");
    await header()
      .getByRole("button", { name: /משפחת כהן/ })
      .waitFor();
    expect(shownGroup()).toBe(ids.get(MIXED));
    await page.goBack();
    await header()
      .getByRole("button", { name: /Group .*Office/ })
      .waitFor();
    await page.goBack();
    await page.getByRole("heading", { name: "Which group?" }).waitFor();
    await page.goForward();
    await page.getByText("No webhooks yet").waitFor();
    expect(shownGroup()).toBe(ids.get("Office"));
  });

  test("is told that the URL's group is not theirs, and goes on with one that is", async () => {
    await begin("/", {}, stack.service.group);
    await page.getByRole("heading", { name: "You do not administer this group" }).waitFor();
    await page.getByRole("link", { name: MIXED }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    expect(await page.title()).toBe(`Overview · ${MIXED} · Taskwire`);
  });

  test("who is a plain member is told to ask an admin", async () => {
    opened = await open(browser);
    page = opened.page;
    await signIn(page, stack, "/", tokenFor(stack.service.member), null);
    await page.getByRole("heading", { name: "You administer no group" }).waitFor();
  });

  const looks = full
    ? ["en-GB", "he-IL"].flatMap((locale) => [1280, 360].map((width) => ({ locale, width })))
    : [{ locale: "he-IL", width: 360 }];
  for (const { locale, width } of looks) {
    test(`finds every name in its place in ${locale}, ${width} px wide`, async () => {
      await begin("/", { locale, viewport: { width, height: 800 } });
      const list = page.getByRole("main").getByRole("list");
      await list.waitFor();
      expect(await overflow(page), "the choice").toEqual([]);
      for (const name of [LONG, HTML, MIXED]) {
        if (await list.count()) await list.getByRole("link", { name }).click();
        else {
          await header().locator("button.group").click();
          await page.getByRole("menuitem", { name }).click();
        }
        await header().locator("button.group", { hasText: name }).waitFor();
        await loaded(page);
        expect(await overflow(page), name).toEqual([]);
        expect(await header().locator("button.group .ellipsis").evaluate(beginIsSeen), name).toBe(true);
      }
      // The tools beside the name stand in one line with it.
      const tops = await header()
        .locator(".tools > *")
        .evaluateAll((tools) =>
          tools.map((tool) => tool.getBoundingClientRect()).map(({ top, height }) => top + height / 2),
        );
      expect(Math.max(...tops) - Math.min(...tops)).toBeLessThan(2);
    });
  }
});
