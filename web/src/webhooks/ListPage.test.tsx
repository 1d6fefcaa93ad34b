import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, test } from "vitest";
import { answer, problem } from "../test/server";
import { show } from "../test/show";
import { delivery, webhook } from "../test/things";
import { filterWebhooks } from "./filter";

const payroll = webhook();
const chat = webhook({
  id: "65a0000000000000000000b3",
  name: "Team chat",
  targetUrl: "https://chat.example/in",
  health: { status: "failing", disabledReason: null, lastSuccessAt: null },
});
const old = webhook({
  id: "65a0000000000000000000b4",
  name: "Warehouse",
  enabled: false,
  health: { status: "disabled", disabledReason: "gone", lastSuccessAt: null },
});

function list() {
  answer("get", "/stats/webhooks", () => ({ items: [] }));
  answer("get", "/webhooks", () => ({ items: [payroll, chat, old], nextCursor: null }));
}

describe("the list of webhooks", () => {
  test("is filtered by name and URL without regard to case, and by state", () => {
    const all = [payroll, chat, old];
    expect(filterWebhooks(all, {})).toEqual(all);
    expect(filterWebhooks(all, { q: " PAY " })).toEqual([payroll, old]);
    expect(filterWebhooks(all, { q: "chat.example" })).toEqual([chat]);
    expect(filterWebhooks(all, { health: "failing" })).toEqual([chat]);
    expect(filterWebhooks(all, { q: "payroll", health: "disabled" })).toEqual([old]);
  });

  test("shows what the search field and the state leave, and keeps both in the URL", async () => {
    list();
    const { user, router } = show("/webhooks");
    await screen.findByText("Team chat");
    await user.type(screen.getByLabelText("Search name or URL"), "chat");
    await waitFor(() => expect(screen.queryByText("Payroll")).toBeNull());
    expect(screen.getByText("Team chat")).toBeVisible();
    expect(router.state.location.search).toMatchObject({ q: "chat" });
    await user.click(screen.getByRole("radio", { name: "Off" }));
    expect(await screen.findByText("Nothing matches")).toBeVisible();
    expect(router.state.location.search).toMatchObject({ q: "chat", health: "disabled" });
    await user.click(screen.getByRole("button", { name: "Clear filters" }));
    expect(await screen.findByText("Payroll")).toBeVisible();
    expect(screen.getByLabelText("Search name or URL")).toHaveValue("");
  });

  test("calls no webhook healthy that has delivered nothing yet", async () => {
    const fresh = webhook({ health: { status: "healthy", disabledReason: null, lastSuccessAt: null } });
    answer("get", "/stats/webhooks", () => ({ items: [] }));
    answer("get", "/webhooks", () => ({ items: [fresh], nextCursor: null }));
    show("/webhooks");
    const row = within(await screen.findByRole("row", { name: /Payroll/ }));
    expect(row.getByText("No delivery yet")).toBeVisible();
    expect(row.queryByText("Healthy")).toBeNull();
  });

  test("begins with the filter that the URL brings", async () => {
    list();
    show("/webhooks?health=failing");
    expect(await screen.findByText("Team chat")).toBeVisible();
    expect(screen.queryByText("Payroll")).toBeNull();
  });

  test("pauses a webhook by its switch", async () => {
    list();
    const puts = answer("put", "/webhooks/:id", () => ({ ...payroll, enabled: false }));
    const { user } = show("/webhooks");
    await user.click(await screen.findByRole("switch", { name: "Pause Payroll" }));
    await waitFor(() => expect(puts[0]?.body).toEqual({ enabled: false }));
  });

  test("shows a switch as it was put, also while the list is loaded again", async () => {
    list();
    answer("put", "/webhooks/:id", () => ({ ...payroll, enabled: false }));
    const { user } = show("/webhooks");
    const on = await screen.findByRole("switch", { name: "Pause Payroll" });
    let load = () => {};
    const loading = new Promise<void>((resolve) => {
      load = resolve;
    });
    const again = answer("get", "/webhooks", async () => {
      await loading;
      return { items: [{ ...payroll, enabled: false }, chat, old], nextCursor: null };
    });
    await user.click(on);
    await waitFor(() => expect(again.length).toBeGreaterThan(0));
    expect(screen.getByRole("switch", { name: "Resume Payroll" })).toBeEnabled();
    load();
  });

  test("asks once for the day of all of them", async () => {
    const hundred = Array.from({ length: 100 }, (_, number) =>
      webhook({ id: (0x65a0 + number).toString(16).padStart(24, "0"), name: `Hook ${number}` }),
    );
    answer("get", "/webhooks", () => ({ items: hundred, nextCursor: null }));
    const stats = answer("get", "/stats/webhooks", () => ({ items: [] }));
    show("/webhooks");
    expect(await screen.findByText("Hook 99")).toBeVisible();
    expect(await screen.findAllByText("Quiet")).toHaveLength(100);
    expect(stats).toHaveLength(1);
  });

  const many = (first: number, count: number) =>
    Array.from({ length: count }, (_, at) =>
      webhook({ id: (first + at).toString(16).padStart(24, "0"), name: `Hook ${first + at}` }),
    );

  test("is drawn a hundred at a time", async () => {
    answer("get", "/stats/webhooks", () => ({ items: [] }));
    answer("get", "/webhooks", () => ({ items: many(0, 103), nextCursor: null }));
    const { user } = show("/webhooks");
    expect(await screen.findByText("Hook 99")).toBeVisible();
    expect(screen.queryByText("Hook 100")).toBeNull();
    await user.click(screen.getByText("Show 3 more"));
    expect(await screen.findByText("Hook 102")).toBeVisible();
    expect(screen.queryByText(/^Show \d+ more$/)).toBeNull();
  });

  test("says where it ends", async () => {
    answer("get", "/stats/webhooks", () => ({ items: [] }));
    const pages = answer("get", "/webhooks", ({ path }) => {
      const first = Number(new URLSearchParams(path.split("?")[1]).get("cursor") ?? 0);
      return { items: many(first, 200), nextCursor: String(first + 200) };
    });
    show("/webhooks?q=Hook 4999");
    expect(await screen.findByText("No more than 5,000 webhooks are listed; there may be others.")).toBeVisible();
    expect(screen.getByText("Hook 4999")).toBeVisible();
    expect(pages).toHaveLength(25);
  });

  test("has one stop for the keyboard to open a row; a log's rows say that they can be opened", async () => {
    list();
    answer("get", "/webhooks/:id", () => payroll);
    answer("get", "/webhooks/:id/replays", () => ({ items: [], nextCursor: null }));
    answer("get", "/webhooks/:id/deliveries", () => ({ items: [delivery()], nextCursor: null }));
    const { user } = show("/webhooks");
    expect(await screen.findByRole("row", { name: /Payroll/ })).not.toHaveAttribute("tabindex");
    await user.click(screen.getByRole("link", { name: "Payroll" }));
    const row = await screen.findByRole("row", { name: /Given up/ });
    expect(row).toHaveAttribute("tabindex", "0");
    expect(row).toHaveAccessibleDescription("Enter opens it.");
  });

  test("that is empty says what to do next", async () => {
    answer("get", "/webhooks", () => ({ items: [], nextCursor: null }));
    show("/webhooks");
    expect(await screen.findByText("No webhooks yet")).toBeVisible();
    expect(screen.getAllByRole("link", { name: "New webhook" })).toHaveLength(2);
  });

  test("of a group of others says so", async () => {
    answer("get", "/webhooks", ({ path }) =>
      path.includes("groupId=")
        ? problem(403, "Forbidden", "you do not administer this group")
        : { items: [], nextCursor: null },
    );
    show("/webhooks");
    expect(await screen.findByText("You do not administer this group")).toBeVisible();
  });

  test("that cannot be had shows the problem's detail, and tries again when asked", async () => {
    let broken = true;
    answer("get", "/webhooks", () =>
      broken
        ? problem(503, "Unavailable", "the database does not answer at present")
        : { items: [payroll], nextCursor: null },
    );
    answer("get", "/stats/webhooks", () => ({ items: [] }));
    const { user } = show("/webhooks");
    expect(await screen.findByText("the database does not answer at present")).toBeVisible();
    broken = false;
    await user.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByText("Payroll")).toBeVisible();
  });
});
