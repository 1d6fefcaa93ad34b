import { join } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import type { Stack } from "./stack";

/** The long forms too. */
export const full = process.env.TASKWIRE_E2E_FULL !== undefined;

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env.TASKWIRE_CHROMIUM ?? "/usr/bin/chromium",
    // As root, which builds in containers are, it does not start with it.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"],
  });

/** What was to be seen when a test failed: beside the programs' logs. */
export async function picture(page: Page) {
  await page.screenshot({ path: join(import.meta.dirname, "../../.cache/web-logs/failed.png") }).catch(() => {});
}

export type Opened = { page: Page; complaints: string[] };

/** A page that notes what the browser complains about: errors, and what the policy refused. */
export async function open(browser: Browser, options: BrowserContextOptions = {}): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: "en-GB", ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  // Long: other work on the same two processors is no fault of the page.
  page.setDefaultTimeout(30_000);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // Answers that are no success are said so by the browser too; the tests look at what the page makes of them.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      complaints.push(message.text());
  });
  return { page, complaints };
}

/** Signs in by pasting, as on a plain page; to the group that the URL names, if any. */
export async function signIn(
  page: Page,
  stack: Stack,
  path = "/",
  token = stack.token(),
  group: string | null = stack.service.group,
) {
  const search = group === null ? "" : `${path.includes("?") ? "&" : "?"}group=${group}`;
  await page.goto(`${stack.url}/admin${path}${search}`);
  await page.locator("textarea").fill(token);
  await page.locator('main button[type="submit"]').click();
  await page.locator(".nav").waitFor();
}

/** Goes on without a reload, which would forget the token. */
export async function visit(page: Page, path: string) {
  await page.evaluate((to) => {
    window.history.pushState({}, "", to);
    window.dispatchEvent(new PopStateEvent("popstate"));
  }, `/admin${path}`);
}

/** Nothing on the page stands for something that is still to come. */
export const loaded = (page: Page) =>
  page.waitForFunction(() => document.querySelector('[role="status"][aria-label]') === null);

/** Nothing is wider than the window, and nothing is cut off inside a card. */
export async function overflow(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const cut = [...document.querySelectorAll<HTMLElement>(".surface")]
      .filter((card) => card.scrollWidth > card.clientWidth + 1 && getComputedStyle(card).overflowX !== "auto")
      .map((card) => `${card.textContent?.slice(0, 60)}: ${card.scrollWidth} > ${card.clientWidth}`);
    return wide > 0 ? [`the page: ${wide} px too wide`, ...cut] : cut;
  });
}

/** Of a text that is cut: whether its first letters are to be seen. Runs in the page. */
export function beginIsSeen(cut: Element): boolean {
  const text = document.createTreeWalker(cut, NodeFilter.SHOW_TEXT).nextNode() as Text;
  const range = document.createRange();
  range.setStart(text, 0);
  range.setEnd(text, Math.min(5, text.length));
  const [seen, box] = [range.getBoundingClientRect(), cut.getBoundingClientRect()];
  return seen.left >= box.left - 1 && seen.right <= box.right + 1;
}
