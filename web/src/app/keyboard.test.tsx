import { screen, waitFor, within } from "@testing-library/react";
import { HttpResponse } from "msw";
import { beforeEach, describe, expect, test } from "vitest";
import { session } from "../session/session";
import { answer } from "../test/server";
import { show } from "../test/show";
import { delivery, deliveryDetail, webhook } from "../test/things";

const hook = webhook();

/** An answer that comes when the test says so. */
function later() {
  let give = () => {};
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { given, give };
}

beforeEach(() => {
  answer("get", "/webhooks", () => ({ items: [hook], nextCursor: null }));
  answer("get", "/stats/webhooks", () => ({ items: [] }));
  answer("get", "/webhooks/:id", () => HttpResponse.json(hook, { headers: { etag: '"1"' } }));
  answer("get", "/webhooks/:id/replays", () => ({ items: [], nextCursor: null }));
  answer("get", "/webhooks/:id/deliveries", () => ({ items: [delivery()], nextCursor: null }));
});

describe("the keyboard's attention", () => {
  test("stays at a button that is busy, which takes no second click", async () => {
    const { given, give } = later();
    const tests = answer("post", "/webhooks/:id/test", async () => {
      await given;
      return { status: "delivered", responseStatus: 200, durationMs: 3, errorMessage: null };
    });
    const { user } = show(`/webhooks/${hook.id}`);
    const button = await screen.findByRole("button", { name: "Send test" });
    await user.click(button);
    await waitFor(() => expect(button).toHaveAttribute("aria-disabled", "true"));
    await user.keyboard("{Enter}");
    expect(button).toHaveFocus();
    give();
    expect(await screen.findByText("The test arrived")).toBeVisible();
    expect(button).toHaveFocus();
    expect(tests).toHaveLength(1);
    await user.click(screen.getByRole("button", { name: "Close" }));
    await waitFor(() => expect(screen.queryByText("The test arrived")).toBeNull());
    await waitFor(() => expect(screen.getByRole("main")).toHaveFocus());
  });

  test("stays at the switch of a list", async () => {
    const { given, give } = later();
    const puts = answer("put", "/webhooks/:id", async () => {
      await given;
      return { ...hook, enabled: false };
    });
    const { user } = show("/webhooks");
    await user.click(await screen.findByRole("switch", { name: "Pause Payroll" }));
    const turned = await screen.findByRole("switch", { name: "Resume Payroll" });
    // A disabled one would lose it, in browsers.
    expect(turned).toBeEnabled();
    await user.keyboard(" ");
    expect(turned).toHaveFocus();
    give();
    await waitFor(() => expect(turned).not.toHaveAttribute("aria-disabled"));
    expect(turned).toHaveFocus();
    expect(puts).toHaveLength(1);
  });

  test("stays near what goes: of a filter that is cleared, of a button that is no longer of use", async () => {
    let status: "dead-letter" | "queued" = "dead-letter";
    answer("get", "/webhooks/:id/deliveries/:delivery", () => deliveryDetail({ status }));
    answer("post", "/webhooks/:id/replay/:delivery", () => {
      status = "queued";
      return { id: "dlv_1" };
    });
    const { user } = show(`/webhooks/${hook.id}?eventType=task.completed`);
    await user.click(await screen.findByRole("button", { name: "Clear filters" }));
    await waitFor(() => expect(screen.getByRole("main")).toContainElement(document.activeElement as HTMLElement));
    expect(screen.queryByRole("button", { name: "Clear filters" })).toBeNull();

    await user.click(await screen.findByRole("row", { name: /Given up/ }));
    const drawer = await screen.findByRole("dialog", { name: "Delivery" });
    const replay = await within(drawer).findByRole("button", { name: "Replay" });
    await user.click(replay);
    await waitFor(() => expect(replay).toBeDisabled());
    await waitFor(() => expect(document.activeElement).toContainElement(replay));
    expect(drawer).toContainElement(document.activeElement as HTMLElement);
  });

  test("goes to the page once somebody has signed in", async () => {
    const { user } = show("/webhooks");
    session.signOut();
    await user.click(await screen.findByLabelText(/^Token/));
    await user.paste(`h.${btoa('{"sub":"a"}')}.s`);
    await user.keyboard("{Tab}{Enter}");
    expect(await screen.findByText("Payroll")).toBeVisible();
    await waitFor(() => expect(screen.getByRole("main")).toHaveFocus());
  });

  test("does not leave the dialog of a replay of many, and comes back to what opened it", async () => {
    answer("post", "/webhooks/:id/replay", ({ body }) => ({
      count: 4,
      countIsMinimum: false,
      replayId: (body as { dryRun?: boolean }).dryRun ? null : "rpl_1",
    }));
    const { user } = show(`/webhooks/${hook.id}`);
    const opener = await screen.findByRole("button", { name: "Replay all that match…" });
    await user.click(opener);
    const dialog = await screen.findByRole("dialog", { name: "Replay deliveries" });
    await user.click(within(dialog).getByRole("button", { name: "Count first" }));
    expect(await within(dialog).findByRole("button", { name: "Replay 4" })).toHaveFocus();
    await user.keyboard("{Escape}");
    await waitFor(() => expect(opener).toHaveFocus());
  });

  test.each(["Replay many…", "Delete…"])("comes back to the menu's button after its dialog: %s", async (item) => {
    const { user } = show(`/webhooks/${hook.id}`);
    const more = await screen.findByRole("button", { name: "More actions" });
    await user.click(more);
    await user.click(await screen.findByRole("menuitem", { name: item }));
    await screen.findByRole("dialog");
    await user.keyboard("{Escape}");
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    await waitFor(() => expect(more).toHaveFocus());
  });
});
