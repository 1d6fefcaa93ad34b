import { screen, waitFor, within } from "@testing-library/react";
import { HttpResponse } from "msw";
import { describe, expect, test } from "vitest";
import { queryClient } from "../api/queries";
import { answer, problem } from "../test/server";
import { show } from "../test/show";
import { webhook } from "../test/things";

const versioned = (value: unknown, version: number) =>
  HttpResponse.json(value as object, { headers: { etag: `"${version}"` } });

async function newForm() {
  answer("get", "/webhooks", () => ({ items: [], nextCursor: null }));
  const { user, router } = show("/webhooks/new");
  const name = await screen.findByLabelText(/^Name/);
  return {
    user,
    router,
    name,
    url: screen.getByLabelText(/^Target URL/),
    submit: screen.getByRole("button", { name: "Create webhook" }),
  };
}

describe("a new webhook's form", () => {
  test("names what is missing and sends nothing", async () => {
    const calls = answer("post", "/webhooks", () => ({}));
    const { user, submit } = await newForm();
    for (const box of screen.getAllByRole("checkbox", { checked: true })) await user.click(box);
    await user.click(submit);
    expect(await screen.findByText("Give it a name.")).toBeVisible();
    expect(screen.getByText("Enter the URL that gets the events.")).toBeVisible();
    expect(screen.getByText("Choose at least one event.")).toBeVisible();
    expect(calls).toHaveLength(0);
  });

  test("judges the URL while it is typed, and warns of a private address", async () => {
    const { user, url } = await newForm();
    await user.type(url, "ftp://x.example");
    await user.tab();
    expect(await screen.findByText("The scheme must be https.")).toBeVisible();
    await user.clear(url);
    await user.type(url, "http://127.0.0.1/hook");
    expect(await screen.findByText(/This is a private address/)).toBeVisible();
    expect(screen.queryByText("The scheme must be https.")).toBeNull();
  });

  test("spells the retry schedule out, and refuses numbers out of range", async () => {
    const { user } = await newForm();
    expect(screen.getByTestId("schedule")).toHaveTextContent("13 retries over 2 days 10 hrs");
    const attempts = screen.getByLabelText("Attempts in all");
    await user.clear(attempts);
    await user.type(attempts, "8");
    expect(screen.getByTestId("schedule")).toHaveTextContent("7 retries over 1 hr 3 mins");
    await user.clear(attempts);
    await user.type(attempts, "21");
    await user.tab();
    expect(await screen.findByText("From 1 to 20.")).toBeVisible();
    expect(screen.queryByTestId("schedule")).toBeNull();
  });

  test("refuses a reserved header by name", async () => {
    const { user } = await newForm();
    await user.click(screen.getByRole("button", { name: "Add header" }));
    await user.type(screen.getByLabelText("Name of header 1"), "X-Signature");
    await user.tab();
    expect(await screen.findByText("Reserved: it is set for each request.")).toBeVisible();
  });

  test("shows what the server refuses at its field, and keeps what was typed", async () => {
    answer("post", "/webhooks", () =>
      problem(422, "Invalid fields", "cannot be used: targetUrl", [
        { field: "targetUrl", message: "127.0.0.1 is not a public address" },
      ]),
    );
    const { user, name, url, submit } = await newForm();
    await user.type(name, "Payroll");
    await user.type(url, "https://127.0.0.1/hook");
    await user.click(submit);
    expect(await screen.findByText("127.0.0.1 is not a public address")).toBeVisible();
    expect(name).toHaveValue("Payroll");
  });

  test("creates, and shows the secret once", async () => {
    const calls = answer("post", "/webhooks", ({ body }) =>
      versioned({ ...webhook(body as object), secret: "whsec_c2VjcmV0" }, 1),
    );
    const { user, name, url, submit } = await newForm();
    await user.type(name, "  Payroll ");
    await user.type(url, "https://payroll.example/hook");
    await user.click(submit);
    expect(await screen.findByTestId("secret")).toHaveTextContent("whsec_c2VjcmV0");
    expect(calls[0]?.body).toMatchObject({
      name: "Payroll",
      enabled: true,
      retryPolicy: { maxAttempts: 14, backoffSeconds: 30 },
    });
  });

  test("asks before the secret is left: while it is being made, and until it is said to be stored", async () => {
    let make = () => {};
    const made = new Promise<void>((resolve) => {
      make = resolve;
    });
    answer("post", "/webhooks", async () => {
      await made;
      return versioned({ ...webhook(), secret: "whsec_c2VjcmV0" }, 1);
    });
    answer("get", "/webhooks/:id", () => versioned(webhook(), 1));
    answer("get", "/webhooks/:id/deliveries", () => ({ items: [], nextCursor: null }));
    const { user, name, url, submit, router } = await newForm();
    await user.type(name, "Payroll");
    await user.type(url, "https://payroll.example/hook");
    await user.click(submit);
    const stay = async () => {
      const dialog = await screen.findByRole("dialog", { name: "Leave without the secret?" });
      await user.click(within(dialog).getByRole("button", { name: "Cancel" }));
      await waitFor(() => expect(dialog).not.toBeInTheDocument());
    };
    expect(screen.getByRole("button", { name: "Cancel" })).toBeDisabled();
    void router.navigate({ to: "/events" });
    await stay();
    make();
    expect(await screen.findByTestId("secret")).toHaveTextContent("whsec_c2VjcmV0");
    void router.navigate({ to: "/events" });
    await stay();
    expect(screen.getByTestId("secret")).toHaveTextContent("whsec_c2VjcmV0");
    await user.click(screen.getByRole("button", { name: "I have stored it" }));
    expect(await screen.findByText("Nothing delivered yet")).toBeVisible();
  });

  test("asks before unsaved text is left", async () => {
    const { user, name, router } = await newForm();
    await user.type(name, "Half a name");
    void router.navigate({ to: "/webhooks" });
    const dialog = await screen.findByRole("dialog", { name: "Leave without saving?" });
    await user.click(within(dialog).getByRole("button", { name: "Cancel" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    expect(name).toHaveValue("Half a name");
    expect(router.state.location.pathname).toBe("/webhooks/new");
  });
});

describe("the settings of a webhook that somebody else changed meanwhile", () => {
  async function conflict() {
    const before = webhook();
    const theirs = webhook({ name: "Payroll, new", timeoutSeconds: 5 });
    let changed = false;
    answer("get", "/webhooks", () => ({ items: [before], nextCursor: null }));
    answer("get", "/webhooks/:id", () => versioned(changed ? theirs : before, changed ? 2 : 1));
    const puts = answer("put", "/webhooks/:id", ({ headers, body }) => {
      if (headers.get("if-match") === '"2"') return versioned({ ...theirs, ...(body as object) }, 3);
      changed = true;
      return problem(412, "Changed in the meantime", "If-Match names another version");
    });
    const { user } = show(`/webhooks/${before.id}?tab=settings`);
    const name = await screen.findByLabelText(/^Name/);
    await user.clear(name);
    await user.type(name, "Wages");
    await user.click(screen.getByRole("button", { name: "Save changes" }));
    return { user, name, puts, notice: await screen.findByTestId("conflict") };
  }

  test("show what changed, overwrite nothing, and send only what was changed here", async () => {
    const { user, puts, notice } = await conflict();
    expect(within(notice).getByText("Payroll, new")).toBeVisible();
    // Names have a direction of their own, whatever the page's.
    expect(within(notice).getByText("Payroll, new")).not.toHaveAttribute("dir");
    expect(within(notice).getByText("Wages")).toBeVisible();
    expect(within(notice).getByText("Time limit")).toBeVisible();
    expect(puts[0]?.body).toEqual({ name: "Wages" });

    await user.click(within(notice).getByRole("button", { name: "Save my changes on top" }));
    await waitFor(() => expect(puts).toHaveLength(2));
    expect(puts[1]?.body).toEqual({ name: "Wages" });
    expect(puts[1]?.headers.get("if-match")).toBe('"2"');
    await waitFor(() => expect(screen.queryByTestId("conflict")).toBeNull());
  });

  test("are saved as they stand in the form then, not as they stood when the conflict came up", async () => {
    const { user, name, puts, notice } = await conflict();
    await user.type(name, " and bonuses");
    await user.click(within(notice).getByRole("button", { name: "Save my changes on top" }));
    await waitFor(() => expect(puts).toHaveLength(2));
    expect(puts[1]?.body).toEqual({ name: "Wages and bonuses" });
  });
});

test("a webhook that somebody deleted meanwhile is said to be gone, and what was typed stays", async () => {
  let there = true;
  answer("get", "/webhooks", () => ({ items: [webhook()], nextCursor: null }));
  answer("get", "/webhooks/:id", () => (there ? versioned(webhook(), 1) : problem(404, "Not found", "no webhook")));
  const { user } = show(`/webhooks/${webhook().id}?tab=settings`);
  const name = await screen.findByLabelText(/^Name/);
  await user.type(name, ", half");
  there = false;
  await queryClient.invalidateQueries({ queryKey: ["webhook"] });
  expect(await screen.findByText(/Somebody has deleted this webhook meanwhile/)).toBeVisible();
  expect(name).toHaveValue("Payroll, half");
});
