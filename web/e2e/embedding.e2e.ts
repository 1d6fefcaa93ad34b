import { ObjectId } from "mongodb";
import type { Browser, FrameLocator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { full, launch, open, picture } from "./browser";
import { Sample } from "./sample";
import { eventually, freePort, Stack } from "./stack";

describe.runIf(full).sequential("the docs' sample application", () => {
  let stack: Stack;
  let browser: Browser;
  let sample: Sample;
  let page: Page;
  let frame: FrameLocator;
  let complaints: string[];
  let tokens = 0;
  const office = new ObjectId();

  beforeAll(async () => {
    const port = await freePort();
    stack = await Stack.start({ frameAncestors: `http://localhost:${port}` });
    browser = await launch();
    await stack.service.addGroup(office, "Office");
    await stack.webhook({ name: "Payroll" });
    await eventually("the office has a webhook too", () =>
      stack.webhook({ name: "Printer", groupId: office.toHexString() }),
    );
    sample = await Sample.start(stack, port, `${stack.service.group}=Household,${office.toHexString()}=Office`);
    ({ page, complaints } = await open(browser));
    page.on("request", (request) => {
      if (request.url() === `${sample.url}/token`) tokens += 1;
    });
    frame = page.frameLocator("iframe");
    await page.goto(sample.url);
  });
  afterAll(async () => {
    await browser?.close();
    sample?.stop();
    await stack?.stop();
  });
  afterEach(({ task }) => (task.result?.state === "fail" ? picture(page) : undefined));

  test("shows the page signed in, without a header of its own", async () => {
    await frame.getByRole("heading", { name: "Overview" }).waitFor();
    await frame.getByRole("link", { name: "Payroll" }).waitFor();
    expect(await frame.getByRole("button", { name: "Sign out" }).count()).toBe(0);
    expect(tokens).toBe(1);
  });

  test("passes on a change of theme, language and group as it is made", async () => {
    await page.getByLabel("Theme").selectOption("Dark");
    await frame.locator('html[data-mantine-color-scheme="dark"]').waitFor();
    await page.getByLabel("Language").selectOption("he");
    await frame.locator('html[dir="rtl"]').waitFor();
    await frame.getByRole("heading", { name: "סקירה" }).waitFor();
    await page.getByLabel("Language").selectOption("en");
    await frame.getByRole("link", { name: "Payroll" }).click();
    await frame.getByRole("heading", { name: "Payroll" }).waitFor();
    await page.getByLabel("Group").selectOption("Office");
    await frame.getByRole("link", { name: "Printer" }).waitFor();
    expect(await frame.getByText("Payroll").count(), "what belongs to the other group is gone").toBe(0);
    await page.getByLabel("Theme").selectOption("Light");
  });

  test("renews the token in the middle of an edit: nothing typed is lost, and nothing is asked", async () => {
    await frame.getByRole("link", { name: "Webhooks", exact: true }).click();
    await frame.getByRole("link", { name: "New webhook" }).click();
    await frame.getByLabel(/^Name/).fill("Typed before");
    await frame.getByLabel("Target URL").fill(stack.receiver.url("/later"));
    const before = tokens;
    // As if the hour were over.
    await page.route(
      "**/api/integrations/**",
      (route) => route.fulfill({ status: 401, json: { title: "no longer" } }),
      {
        times: 1,
      },
    );
    await frame.getByRole("button", { name: "Create webhook" }).click();
    await frame.getByTestId("secret").waitFor();
    expect(tokens).toBe(before + 1);
    await frame.getByRole("button", { name: "Copy secret" }).click();
    await frame.getByRole("button", { name: "Copied" }).waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^whsec_/);
    await frame.getByRole("button", { name: "I have stored it" }).click();
    await frame.getByRole("heading", { name: "Typed before" }).waitFor();
  });

  test("that does not renew the token in time is said so, and asked again when the user wants it", async () => {
    await frame.getByRole("tab", { name: "Settings" }).click();
    await frame.getByLabel(/^Name/).fill("Still typed");
    await page.route("**/token", (route) => route.abort(), { times: 1 });
    await page.route(
      "**/api/integrations/**",
      (route) => route.fulfill({ status: 401, json: { title: "no longer" } }),
      {
        times: 1,
      },
    );
    const failed = page.waitForEvent("pageerror");
    await frame.getByRole("button", { name: "Save changes" }).click();
    await failed;
    await frame.getByText("The application has not renewed your sign-in.", { exact: false }).waitFor();
    await frame.getByRole("button", { name: "Try again" }).click();
    await frame.getByRole("heading", { name: "Still typed" }).waitFor();
    // The application's own failure is what the browser complained about, and all.
    expect(complaints).toHaveLength(1);
  });
});
