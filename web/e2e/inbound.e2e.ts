import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { full, launch, open, picture, signIn, visit } from "./browser";
import { eventually, Stack } from "./stack";

const run = promisify(execFile);

describe.runIf(full).sequential("a group's inbound page", () => {
  let stack: Stack;
  let browser: Browser;
  let page: Page;
  let complaints: string[];
  let secret = "";

  beforeAll(async () => {
    stack = await Stack.start();
    browser = await launch();
    ({ page, complaints } = await open(browser));
    await signIn(page, stack, "/inbound");
  });
  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });
  afterEach(({ task }) => (task.result?.state === "fail" ? picture(page) : undefined));

  const sample = async (name: string) => {
    await page.getByRole("tab", { name, exact: true }).click();
    return (await page.getByRole("region", { name, exact: true }).locator("pre").textContent()) ?? "";
  };
  /** The sample as the page shows it, with the secret put in: what it prints, the answer's first line above all. */
  const curl = async (key: string) => (await run("sh", ["-c", (await sample("cURL")).replace("whsec_…", key)])).stdout;
  const shownSecret = async () => {
    const shown = (await page.getByTestId("secret").textContent()) ?? "";
    await page.getByRole("button", { name: "I have stored it" }).click();
    expect(shown).toMatch(/^whsec_/);
    expect(await page.content(), "it is shown once").not.toContain(shown);
    return shown;
  };

  test("is set up: access, what is allowed, and a secret that is shown once", async () => {
    await page.getByRole("switch", { name: "Take calls" }).click();
    await page.getByRole("checkbox", { name: "tasks:write" }).check();
    await page.getByRole("button", { name: "Save changes" }).click();
    secret = await shownSecret();
    await page.getByText(`…${secret.slice(-4)}`).waitFor();
  });

  test("gives samples that work as they stand, and shows each call with its outcome", async () => {
    expect(await curl(secret)).toMatch(/^HTTP\/1.1 201 [\s\S]*"outcome":"created"/);
    await page.getByText("1 created").waitFor();
    const task = await stack.service.db.collection("tasks").findOne({ Name: "Call the customer back" });
    expect(String(task?.AssignedUserId)).toBe(stack.service.admin);
    const env = { ...process.env, SECRET: secret };
    const node = await run("node", ["--input-type=module", "-e", await sample("Node")], { env });
    expect(node.stdout).toMatch(/^200 [\s\S]*unchanged/);
    const python = await run("python3", ["-c", await sample("Python")], { env });
    expect(python.stdout).toMatch(/^200 [\s\S]*unchanged/);
    // Within one second both are the same signed request, which counts once.
    await page.getByText("1 unchanged").first().waitFor();
  });

  test("rotates the secret: both are taken until it is finished, then the new one alone", async () => {
    await page.getByRole("button", { name: "Rotate secret" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Rotate secret" }).click();
    const next = await shownSecret();
    expect(next).not.toBe(secret);
    await page.getByText("Two secrets are valid").waitFor();
    for (const key of [secret, next]) expect(await curl(key)).toMatch(/^HTTP\/1.1 200 /);
    await page.getByRole("button", { name: "Finish rotation" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Finish rotation" }).click();
    await page.getByText("Two secrets are valid").waitFor({ state: "detached" });
    expect(await curl(secret)).toMatch(/^HTTP\/1.1 401 /);
    expect(await curl(next)).toMatch(/^HTTP\/1.1 200 /);
    secret = next;
  });

  test("takes only networks for the addresses that may call, and then others are refused", async () => {
    const networks = page.getByRole("combobox", { name: "Addresses that may call" });
    await networks.fill("not a network");
    await networks.press("Enter");
    await page.getByText("No network: not a network").waitFor();
    await networks.press("Backspace");
    await networks.fill("203.0.113.0/24");
    await networks.press("Enter");
    await page.getByRole("button", { name: "Save changes" }).click();
    await eventually("it is stored", async () => {
      const { ipAllowlist } = await stack.api<{ ipAllowlist: string[] }>(
        "GET",
        `/inbound?groupId=${stack.service.group}`,
      );
      return ipAllowlist.includes("203.0.113.0/24");
    });
    expect(await curl(secret)).toMatch(/^HTTP\/1.1 403 /);
  });

  test("has a neighbour that finds out why a signature is refused, and sends nothing", async () => {
    const hook = await stack.webhook();
    await stack.service.createTask("Water the plants");
    const got = await eventually("it has arrived", async () => stack.receiver.at("/hook")[0]);
    await visit(page, `/signature?group=${stack.service.group}`);
    await page.getByLabel("Headers", { exact: false }).first().waitFor();
    const sent: string[] = [];
    page.on("request", (request) => sent.push(request.url()));
    await page.getByLabel("Headers").first().fill(got.headers);
    await page.getByLabel("Raw body").fill(got.body);
    await page.getByLabel("Secret", { exact: true }).fill(hook.secret);
    await eventually(
      "both schemes are valid",
      async () => (await page.getByText("Valid", { exact: true }).count()) === 2,
    );
    await page.getByText("Fresh", { exact: true }).waitFor();
    await page.getByLabel("Raw body").fill(JSON.stringify(JSON.parse(got.body), null, 2));
    await eventually("neither is", async () => (await page.getByText("No match", { exact: true }).count()) === 2);
    await page.getByText("The body looks formatted.", { exact: false }).waitFor();
    await page.getByLabel("Raw body").fill(got.body);
    await page.getByLabel("Secret", { exact: true }).fill(secret);
    await page.getByLabel("Another secret (optional)").fill(hook.secret);
    await page.getByText("Secret 2 made value 1").first().waitFor();
    expect(sent).toEqual([]);
    expect(complaints).toEqual([]);
  });
});
