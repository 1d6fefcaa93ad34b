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

  test("judges a number as it is typed, and makes no other of it", async () => {
    const { user } = await newForm();
    const attempts = screen.getByLabelText("Attempts in all");
    for (const [text, fault] of [
      ["1e9", "Enter a whole number."],
      ["2.5", "Enter a whole number."],
      ["9".repeat(23), "From 1 to 20."],
    ] as const) {
      await user.clear(attempts);
      await user.type(attempts, text);
      await user.tab();
      expect(await screen.findByText(fault)).toBeVisible();
      expect(attempts).toHaveValue(text);
    }
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

  test("shows at which header the server's refusal is", async () => {
    answer("post", "/webhooks", () =>
      problem(422, "Invalid fields", "cannot be used", [{ field: "headers.X-Two", message: "is not taken" }]),
    );
    const { user, name, url, submit } = await newForm();
    await user.type(name, "Payroll");
    await user.type(url, "https://payroll.example/hook");
    for (const [at, header] of ["X-One", "X-Two"].entries()) {
      await user.click(screen.getByRole("button", { name: "Add header" }));
      await user.type(screen.getByLabelText(`Name of header ${at + 1}`), header);
    }
    await user.click(submit);
    expect(await screen.findByText("is not taken")).toBeVisible();
    expect(screen.getByLabelText("Name of header 2")).toHaveAccessibleDescription("is not taken");
    expect(screen.getByLabelText("Name of header 1")).not.toHaveAccessibleDescription();
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

  test("is created under the same key when it is tried again, and under another when it was changed", async () => {
    const calls = answer("post", "/webhooks", () =>
      calls.length < 3 ? HttpResponse.error() : versioned({ ...webhook(), secret: "whsec_c2VjcmV0" }, 1),
    );
    const { user, name, url, submit } = await newForm();
    await user.type(name, "Payroll");
    await user.type(url, "https://payroll.example/hook");
    await user.click(submit);
    await user.click(await screen.findByRole("button", { name: "Try again" }));
    await waitFor(() => expect(calls).toHaveLength(2));
    await user.type(name, ", new");
    await user.click(submit);
    expect(await screen.findByTestId("secret")).toBeVisible();
    const keys = calls.map((call) => call.headers.get("idempotency-key"));
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
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

describe("the settings of a webhook", () => {
  const there = { value: webhook(), version: 1 };
  const saveButton = () => screen.getByRole("button", { name: "Save changes" });

  async function settings() {
    Object.assign(there, { value: webhook(), version: 1 });
    answer("get", "/webhooks", () => ({ items: [there.value], nextCursor: null }));
    answer("get", "/webhooks/:id", () => versioned(there.value, there.version));
    answer("put", "/webhooks/:id", ({ body }) => {
      change(body as object);
      return versioned(there.value, there.version);
    });
    const { user } = show(`/webhooks/${webhook().id}?tab=settings`);
    return { user, name: await screen.findByLabelText(/^Name/) };
  }
  const change = (part: object) => {
    there.value = { ...there.value, ...part };
    there.version += 1;
  };

  test("follow what is changed elsewhere while nothing is entered", async () => {
    const { name } = await settings();
    change({ name: "Wages" });
    await queryClient.invalidateQueries({ queryKey: ["webhook"] });
    await waitFor(() => expect(name).toHaveValue("Wages"));
    expect(screen.queryByText("Unsaved changes")).toBeNull();
  });

  test("stay as they are entered, and once saved are followed again; the keyboard stays at the button", async () => {
    const { user, name } = await settings();
    await user.type(name, ", mine");
    change({ timeoutSeconds: 5 });
    await queryClient.invalidateQueries({ queryKey: ["webhook"] });
    expect(name).toHaveValue("Payroll, mine");
    await user.click(saveButton());
    await waitFor(() => expect(screen.queryByText("Unsaved changes")).toBeNull());
    expect(saveButton()).toHaveFocus();
    expect(screen.getByLabelText(/Time limit/)).toHaveValue("5");
    await user.type(name, " again");
    expect(screen.getByText("Unsaved changes")).toBeVisible();
    await user.click(screen.getByRole("link", { name: "Events" }));
    expect(await screen.findByRole("dialog", { name: "Leave without saving?" })).toBeVisible();
  });

  test("that cannot be saved say so where the keyboard is then", async () => {
    const { user, name } = await settings();
    answer("put", "/webhooks/:id", () => problem(404, "Not found", "no such webhook"));
    await user.type(name, ", mine");
    await user.click(saveButton());
    const notice = await screen.findByText("no such webhook");
    await waitFor(() => expect(document.activeElement).toContainElement(notice));
  });
});

test("a rotation that somebody else has begun is shown, and said in the words of the page", async () => {
  let hook = webhook();
  answer("get", "/webhooks", () => ({ items: [hook], nextCursor: null }));
  answer("get", "/webhooks/:id", () => versioned(hook, 1));
  answer("put", "/webhooks/:id", () => {
    hook = webhook({ rotation: { startedAt: "2026-01-02T03:04:05.678Z", expiresAt: null } });
    return problem(409, "Conflict", 'finalize it first, with "finalizeRotation": true');
  });
  const { user } = show(`/webhooks/${hook.id}?tab=secret`);
  await user.click(await screen.findByRole("button", { name: "Rotate secret" }));
  const dialog = await screen.findByRole("dialog", { name: "Make a new secret?" });
  await user.click(within(dialog).getByRole("button", { name: "Rotate secret" }));
  expect(await screen.findByText("It was changed elsewhere meanwhile")).toBeVisible();
  expect(await screen.findByRole("button", { name: "Finish rotation" })).toBeVisible();
  expect(screen.queryByText(/finalizeRotation/)).toBeNull();
});
