import { screen, waitFor, within } from "@testing-library/react";
import { HttpResponse } from "msw";
import { describe, expect, test } from "vitest";
import type { Inbound } from "../api/types";
import { session } from "../session/session";
import { answer } from "../test/server";
import { show } from "../test/show";
import { delivery, deliveryDetail, GROUP, webhook } from "../test/things";

const OFFICE = "65a0000000000000000000a1";
const hook = webhook();

function api() {
  answer("get", "/groups", () => ({
    items: [
      { id: GROUP, name: "Household" },
      { id: OFFICE, name: "Office" },
    ],
    nextCursor: null,
  }));
  answer("get", "/webhooks", () => ({ items: [hook], nextCursor: null }));
  answer("get", "/stats/webhooks", () => ({ items: [] }));
  answer("get", "/webhooks/:id", () => HttpResponse.json(hook, { headers: { etag: '"1"' } }));
  answer("get", "/webhooks/:id/deliveries", () => ({ items: [delivery()], nextCursor: null }));
  answer("get", "/webhooks/:id/deliveries/:delivery", () => deliveryDetail());
}

async function answerLeave(user: ReturnType<typeof show>["user"], button: "Cancel" | "Leave") {
  const dialog = await screen.findByRole("dialog", { name: "Leave without saving?" });
  await user.click(within(dialog).getByRole("button", { name: button }));
  await waitFor(() => expect(dialog).not.toBeInTheDocument());
}

describe("what was typed and not saved", () => {
  test("is not lost by a switch of the group without a question", async () => {
    api();
    const { user, router } = show("/webhooks/new");
    const name = await screen.findByLabelText(/^Name/);
    await user.type(name, "Half");
    const change = async () => {
      await user.click(screen.getByLabelText(/Group .*Household/));
      await user.click(await screen.findByText("Office"));
    };
    await change();
    await answerLeave(user, "Cancel");
    expect(screen.getByLabelText(/^Name/)).toHaveValue("Half");
    expect(router.state.location.search).toEqual({ group: GROUP });
    await change();
    await answerLeave(user, "Leave");
    expect(await screen.findByLabelText(/Group .*Office/)).toBeVisible();
    expect(screen.getByLabelText(/^Name/)).toHaveValue("");
  });

  test("is not lost by signing out without a question", async () => {
    api();
    const { user } = show("/webhooks/new");
    await user.type(await screen.findByLabelText(/^Name/), "Half");
    await user.click(screen.getByLabelText("Sign out"));
    await answerLeave(user, "Cancel");
    expect(session.get().token).not.toBeNull();
    expect(screen.getByLabelText(/^Name/)).toHaveValue("Half");
    await user.click(screen.getByLabelText("Sign out"));
    await answerLeave(user, "Leave");
    expect(await screen.findByRole("heading", { name: "Sign in to Taskwire" })).toBeVisible();
    expect(document.title).toBe("Sign in to Taskwire · Taskwire");
  });

  test("of what partners may do is not lost without a question either", async () => {
    api();
    const inbound = {
      groupId: GROUP,
      enabled: true,
      scopes: ["tasks:write"],
      ipAllowlist: [],
      rateLimitPerMinute: 60,
      secretHint: "LaSw",
      rotation: null,
    } as unknown as Inbound;
    answer("get", "/inbound", () => inbound);
    answer("put", "/inbound", ({ body }) => ({ ...inbound, ...(body as object) }));
    answer("get", "/inbound/receipts", () => ({ items: [], nextCursor: null }));
    const { user, router } = show("/inbound");
    const rate = await screen.findByLabelText(/calls? a minute|a minute/i);
    await user.clear(rate);
    await user.type(rate, "90");
    expect(screen.getByText("Unsaved changes")).toBeVisible();
    void router.navigate({ to: "/webhooks" });
    await answerLeave(user, "Cancel");
    expect(rate).toHaveValue("90");
    await user.click(screen.getByRole("button", { name: "Save changes" }));
    await waitFor(() => expect(screen.queryByText("Unsaved changes")).toBeNull());
    void router.navigate({ to: "/webhooks" });
    expect(await screen.findByText("Payroll")).toBeVisible();
  });
});

test("signing out asks nothing where nothing would be lost", async () => {
  api();
  const { user } = show("/webhooks");
  await user.click(await screen.findByLabelText("Sign out"));
  expect(await screen.findByRole("heading", { name: "Sign in to Taskwire" })).toBeVisible();
});

describe("a drawer", () => {
  test("that was closed is not opened again by going back", async () => {
    api();
    const { user, router } = show("/webhooks");
    await user.click(await screen.findByText("Payroll"));
    await user.click(await screen.findByRole("row", { name: /Given up/ }));
    const drawer = await screen.findByRole("dialog", { name: "Delivery" });
    expect(router.state.location.search).toMatchObject({ delivery: "dlv_1" });
    await user.click(within(drawer).getByRole("button", { name: "Close" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    expect(router.state.location.search).toEqual({ group: GROUP });
    router.history.back();
    expect(await screen.findByRole("heading", { name: "Webhooks" })).toBeVisible();
  });

  test("is closed by going back, and where a link opened it closing stays on the page", async () => {
    api();
    const { user, router } = show(`/webhooks/${hook.id}?delivery=dlv_1`);
    const drawer = await screen.findByRole("dialog", { name: "Delivery" });
    await user.click(within(drawer).getByRole("button", { name: "Close" }));
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    expect(router.state.location.pathname).toBe(`/webhooks/${hook.id}`);
    await user.click(await screen.findByRole("row", { name: /Given up/ }));
    await screen.findByRole("dialog", { name: "Delivery" });
    router.history.back();
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    expect(router.state.location.pathname).toBe(`/webhooks/${hook.id}`);
  });
});

test("a name is confirmed as it was copied from the question, with the marks that nobody sees", async () => {
  api();
  answer("get", "/webhooks/:id", () => HttpResponse.json(webhook({ name: "שכר (ישן)" }), { headers: { etag: '"1"' } }));
  const { user } = show(`/webhooks/${hook.id}`);
  await user.click(await screen.findByRole("button", { name: "More actions" }));
  await user.click(await screen.findByRole("menuitem", { name: "Delete…" }));
  const dialog = await screen.findByRole("dialog");
  const told = within(dialog).getByText(/^Type/).textContent ?? "";
  const copied = /“(.*)”/.exec(told)?.[1] ?? "";
  expect(copied).not.toBe("שכר (ישן)");
  await user.click(within(dialog).getByRole("textbox"));
  await user.paste(copied);
  expect(within(dialog).getByRole("button", { name: "Delete webhook" })).toBeEnabled();
});

test.each([
  ["Cafe\u0301 \u00a0bar\u200b", "Café bar"],
  ["\u200b", null],
])("a webhook is deleted by what is seen of its name: %j", async (name, typed) => {
  api();
  answer("get", "/webhooks/:id", () => HttpResponse.json(webhook({ name }), { headers: { etag: '"1"' } }));
  answer("get", "/webhooks/:id/replays", () => ({ items: [], nextCursor: null }));
  const { user } = show(`/webhooks/${hook.id}`);
  await user.click(await screen.findByRole("button", { name: "More actions" }));
  await user.click(await screen.findByRole("menuitem", { name: "Delete…" }));
  const dialog = await screen.findByRole("dialog");
  if (typed === null) expect(within(dialog).queryByRole("textbox")).toBeNull();
  else await user.type(within(dialog).getByRole("textbox"), typed);
  expect(within(dialog).getByRole("button", { name: "Delete webhook" })).toBeEnabled();
});
