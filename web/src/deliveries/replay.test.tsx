import { screen, waitFor, within } from "@testing-library/react";
import { HttpResponse } from "msw";
import { describe, expect, test } from "vitest";
import { queryClient } from "../api/queries";
import type { Replay } from "../api/types";
import { answer, problem } from "../test/server";
import { show } from "../test/show";
import { delivery, deliveryDetail, webhook } from "../test/things";

const hook = webhook();
const dead = delivery();
const done = delivery({ id: "dlv_2", status: "delivered", responseStatus: 200, errorMessage: null });
const open = delivery({ id: "dlv_3", status: "failed", nextAttemptAt: "2026-01-02T04:00:00.000Z" });

const bulkReplay = (change: Partial<Replay>): Replay => ({
  id: "rpl_1",
  webhookId: hook.id,
  groupId: hook.groupId,
  kind: "replay",
  status: "running",
  reason: null,
  deliveryStatus: "dead-letter",
  eventTypes: [],
  requestedBy: "65a0000000000000000000d4",
  since: null,
  until: "2026-01-02T04:00:00.000Z",
  total: 42,
  done: 10,
  skipped: 2,
  createdAt: "2026-01-02T04:00:00.000Z",
  finishedAt: null,
  ...change,
});

function page(rows = [dead, done, open], replays: Replay[] = []) {
  answer("get", "/webhooks/:id/replays", () => ({ items: replays, nextCursor: null }));
  answer("get", "/webhooks", () => ({ items: [hook], nextCursor: null }));
  answer("get", "/webhooks/:id", () => HttpResponse.json(hook, { headers: { etag: '"1"' } }));
  return answer("get", "/webhooks/:id/deliveries", () => ({ items: rows, nextCursor: null }));
}
const path = `/webhooks/${hook.id}`;

describe("replaying", () => {
  test("one: the button of an opened delivery asks for that delivery alone", async () => {
    page();
    answer("get", "/webhooks/:id/deliveries/:delivery", () => ({ ...deliveryDetail() }));
    const replays = answer("post", "/webhooks/:id/replay/:delivery", () =>
      HttpResponse.json({ id: "dlv_1" }, { status: 202 }),
    );
    const { user } = show(`${path}?delivery=dlv_1`);
    await user.click(await screen.findByRole("button", { name: "Replay" }));
    await waitFor(() => expect(replays.map((call) => call.path)).toEqual([`${path}/replay/dlv_1`]));
  });

  test("one that is still open is not offered", async () => {
    page();
    answer("get", "/webhooks/:id/deliveries/:delivery", () => ({ ...deliveryDetail({ ...open }) }));
    show(`${path}?delivery=dlv_3`);
    expect(await screen.findByRole("button", { name: "Replay" })).toBeDisabled();
  });

  test("the selected: each of them once, open ones cannot be ticked, and what is refused is said", async () => {
    page();
    const replays = answer("post", "/webhooks/:id/replay/:delivery", ({ path }) =>
      path.endsWith("dlv_2") ? problem(409, "Conflict", "this delivery is still open") : { id: "dlv_1" },
    );
    const { user } = show(path);
    expect(await screen.findByLabelText("Select delivery dlv_3")).toBeDisabled();
    await user.click(screen.getByLabelText("Select delivery dlv_1"));
    await user.click(screen.getByLabelText("Select delivery dlv_2"));
    await user.click(screen.getByRole("button", { name: "Replay 2 selected" }));
    expect(await screen.findByText("1 delivery could not be replayed")).toBeVisible();
    expect(screen.getByText("dlv_2: this delivery is still open")).toBeVisible();
    expect(replays.map((call) => call.path)).toEqual([`${path}/replay/dlv_1`, `${path}/replay/dlv_2`]);
  });

  test("all that match: counts first with the list's filter, then does it, then shows how far it is", async () => {
    page();
    const bulk = answer("post", "/webhooks/:id/replay", ({ body }) => ({
      count: 1_042,
      countIsMinimum: false,
      replayId: (body as { dryRun?: boolean }).dryRun ? null : "rpl_1",
    }));
    answer("get", "/webhooks/:id/replays/:replay", () => ({
      id: "rpl_1",
      kind: "replay",
      status: "done",
      reason: null,
      total: 42,
      done: 40,
      skipped: 2,
      createdAt: "2026-01-02T04:00:00.000Z",
      finishedAt: "2026-01-02T04:00:01.000Z",
    }));
    const { user } = show(`${path}?eventType=task.completed&status=dead-letter`);
    await user.click(await screen.findByRole("button", { name: "Replay all that match…" }));
    const dialog = await screen.findByRole("dialog", { name: "Replay deliveries" });
    expect(within(dialog).queryByRole("button", { name: "Replay 1,042" })).toBeNull();
    await user.click(within(dialog).getByRole("button", { name: "Count first" }));
    expect(await within(dialog).findByText("1,042 deliveries match.")).toBeVisible();
    expect(bulk[0]?.body).toEqual({ status: "dead-letter", eventTypes: ["task.completed"], dryRun: true });
    await user.click(within(dialog).getByRole("button", { name: "Replay 1,042" }));
    expect(await within(dialog).findByText("Done: 40 of 42 queued, 2 left out.")).toBeVisible();
    expect(bulk[1]?.body).toEqual({ status: "dead-letter", eventTypes: ["task.completed"] });
  });
});

test("what runs is on the page without its dialog: how far it is, what was left out, and a way to stop it", async () => {
  page([dead], [bulkReplay({ status: "done" })]);
  let now = bulkReplay({ id: "rpl_2", total: 2_000, done: 1_112, skipped: 3 });
  const asked = answer("get", "/webhooks/:id/replays", () => ({ items: [now, bulkReplay({ status: "done" })] }));
  const stops = answer("delete", "/webhooks/:id/replays/:replay", () => {
    now = { ...now, status: "cancelled" };
    return new HttpResponse(null, { status: 204 });
  });
  const { user } = show(path);
  const running = await screen.findByRole("region", { name: "Replay deliveries" });
  expect(within(running).getByText("1,112 of 2,000 queued, 3 left out…")).toBeVisible();
  expect(within(running).getByText(/^Left out: what is still open/)).toBeVisible();
  // Looked at again while it runs.
  await waitFor(() => expect(asked.length).toBeGreaterThan(1));
  await user.click(within(running).getByRole("button", { name: "Stop" }));
  expect(await within(running).findByText(/^Stopped after 1,112 of 2,000/)).toBeVisible();
  expect(within(running).queryByRole("button", { name: "Stop" })).toBeNull();
  expect(stops.map((call) => call.path)).toEqual([`${path}/replays/rpl_2`]);
});

test("a webhook on which nothing runs says nothing of what ran before", async () => {
  page([dead], [bulkReplay({ status: "done" })]);
  show(path);
  await screen.findByLabelText("Select delivery dlv_1");
  await waitFor(() => expect(queryClient.isFetching()).toBe(0));
  expect(screen.queryByRole("region", { name: "Replay deliveries" })).toBeNull();
});

describe("a replay whose answer was lost is sent again under the same key", () => {
  const keyOf = (call: { headers: Headers } | undefined) => call?.headers.get("idempotency-key");

  test("of one delivery; once more after it was done is another replay", async () => {
    page();
    answer("get", "/webhooks/:id/deliveries/:delivery", () => ({ ...deliveryDetail() }));
    const replays = answer("post", "/webhooks/:id/replay/:delivery", () =>
      replays.length === 1 ? HttpResponse.error() : HttpResponse.json({ id: "dlv_1" }, { status: 202 }),
    );
    const { user } = show(`${path}?delivery=dlv_1`);
    await user.click(await screen.findByRole("button", { name: "Replay" }));
    await screen.findByText("Taskwire cannot be reached");
    for (const times of [2, 3]) {
      await user.click(await screen.findByRole("button", { name: "Replay" }));
      await waitFor(() => expect(replays).toHaveLength(times));
      await screen.findAllByText("Queued again.");
    }
    expect(keyOf(replays[0])).toBeTruthy();
    expect(keyOf(replays[1])).toBe(keyOf(replays[0]));
    expect(keyOf(replays[2])).not.toBe(keyOf(replays[0]));
  });

  test("of all that match; counting has none", async () => {
    page();
    const bulk = answer("post", "/webhooks/:id/replay", ({ body }) =>
      (body as { dryRun?: boolean }).dryRun
        ? { count: 2, countIsMinimum: false, replayId: null }
        : bulk.length === 2
          ? HttpResponse.error()
          : { count: 2, countIsMinimum: false, replayId: "rpl_1" },
    );
    answer("get", "/webhooks/:id/replays/:replay", () => bulkReplay({ status: "done", done: 2, total: 2 }));
    const { user } = show(path);
    await user.click(await screen.findByRole("button", { name: "Replay all that match…" }));
    const dialog = within(await screen.findByRole("dialog"));
    await user.click(dialog.getByRole("button", { name: "Count first" }));
    await user.click(await dialog.findByRole("button", { name: "Replay 2" }));
    await dialog.findByText("Taskwire cannot be reached");
    await user.click(dialog.getByRole("button", { name: "Replay 2" }));
    expect(await dialog.findByText(/^Done: 2 of 2/)).toBeVisible();
    expect(bulk.map(keyOf)).toEqual([null, expect.any(String), keyOf(bulk[1])]);
  });
});

test("a replay of all that match says that the filter by task does not count for it", async () => {
  page();
  const { user } = show(`${path}?task=${dead.taskId}`);
  await user.click(await screen.findByRole("button", { name: "Replay all that match…" }));
  expect(await screen.findByText(/The filter by task does not count here/)).toBeVisible();
});

describe("the list of deliveries", () => {
  test("says when older rows cannot be had, keeps what is there, and tries again when asked", async () => {
    let broken = true;
    answer("get", "/webhooks", () => ({ items: [hook], nextCursor: null }));
    answer("get", "/webhooks/:id", () => HttpResponse.json(hook, { headers: { etag: '"1"' } }));
    answer("get", "/webhooks/:id/deliveries", ({ path }) => {
      if (!path.includes("cursor=")) return { items: [done], nextCursor: "older" };
      return broken ? problem(500, "Internal", "it is our fault") : { items: [dead], nextCursor: null };
    });
    const { user } = show(path);
    await user.click(await screen.findByRole("button", { name: "Show older" }));
    expect(await screen.findByText("it is our fault")).toBeVisible();
    expect(screen.getByLabelText("Select delivery dlv_2")).toBeVisible();
    broken = false;
    await user.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByLabelText("Select delivery dlv_1")).toBeVisible();
  });

  test("asks the server with the filters of the URL", async () => {
    const lists = page();
    show(`${path}?status=failed&task=65a0000000000000000000c3&since=2026-01-01T00:00:00.000Z`);
    await screen.findByLabelText("Select delivery dlv_1");
    const asked = new URLSearchParams(lists[0]?.path.split("?")[1]);
    expect(Object.fromEntries(asked)).toMatchObject({
      status: "failed",
      taskId: "65a0000000000000000000c3",
      since: "2026-01-01T00:00:00.000Z",
    });
  });

  test("does not ask for what no filter offers, nor show a tab that is none", async () => {
    const lists = page();
    show(`${path}?status=no-such&eventType=task.completed&tab=no-such`);
    await screen.findByLabelText("Select delivery dlv_1");
    expect(lists[0]?.path).not.toContain("no-such");
    expect(lists[0]?.path).toContain("eventType=task.completed");
    expect(screen.getByRole("tab", { name: "Deliveries", selected: true })).toBeVisible();
  });

  test("follows what is still under way further down, too", async () => {
    let ended = false;
    answer("get", "/webhooks", () => ({ items: [hook], nextCursor: null }));
    answer("get", "/webhooks/:id", () => HttpResponse.json(hook, { headers: { etag: '"1"' } }));
    answer("get", "/webhooks/:id/deliveries", ({ path }) =>
      path.includes("cursor=")
        ? { items: [ended ? delivery({ ...open, status: "delivered" }) : open], nextCursor: null }
        : { items: [dead], nextCursor: "older" },
    );
    const { user } = show(path);
    await user.click(await screen.findByRole("button", { name: "Show older" }));
    const older = (await screen.findByLabelText("Select delivery dlv_3")).closest("tr") as HTMLElement;
    expect(within(older).getByText("Will retry")).toBeVisible();
    ended = true;
    expect(await within(older).findByText("Delivered", undefined, { timeout: 8_000 })).toBeVisible();
  }, 15_000);

  test("says when rows no longer fit the filter, and drops them only when told to", async () => {
    let there = [dead];
    answer("get", "/webhooks", () => ({ items: [hook], nextCursor: null }));
    answer("get", "/webhooks/:id", () => HttpResponse.json(hook, { headers: { etag: '"1"' } }));
    answer("get", "/webhooks/:id/deliveries", () => ({ items: there, nextCursor: null }));
    const { user } = show(`${path}?status=dead-letter`);
    await screen.findByLabelText("Select delivery dlv_1");
    there = [];
    const refresh = await screen.findByRole("button", { name: "1 no longer matches: refresh" }, { timeout: 8_000 });
    expect(screen.getByLabelText("Select delivery dlv_1")).toBeVisible();
    await user.click(refresh);
    expect(await screen.findByText("Nothing matches")).toBeVisible();
  }, 15_000);

  test("announces new rows and moves only when told to", async () => {
    const rows = [done];
    answer("get", "/webhooks", () => ({ items: [hook], nextCursor: null }));
    answer("get", "/webhooks/:id", () => HttpResponse.json(hook, { headers: { etag: '"1"' } }));
    answer("get", "/webhooks/:id/deliveries", () => ({ items: rows, nextCursor: null }));
    const { user } = show(path);
    await screen.findByLabelText("Select delivery dlv_2");
    rows.unshift(dead);
    const news = await screen.findByRole("button", { name: "1 new delivery: show" }, { timeout: 8_000 });
    expect(screen.queryByLabelText("Select delivery dlv_1")).toBeNull();
    await user.click(news);
    expect(await screen.findByLabelText("Select delivery dlv_1")).toBeVisible();
  }, 15_000);
});
