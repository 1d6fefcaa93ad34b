import { screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, test } from "vitest";
import type { OwnGroup } from "../api/types";
import { session } from "../session/session";
import { answer, problem } from "../test/server";
import { show } from "../test/show";
import { deliveryDetail, webhook } from "../test/things";
import { byName } from "./group";

const OFFICE = "65a0000000000000000000a1";
const HOME = "65a0000000000000000000a2";
const HTML = "<b>Zoo</b> & co";
const ZOO = "65a0000000000000000000a3";
const OTHERS = "65a0000000000000000000ff";

const groups = (...items: OwnGroup[]) => answer("get", "/groups", () => ({ items, nextCursor: null }));
const several = () => groups({ id: ZOO, name: HTML }, { id: OFFICE, name: "Office" }, { id: HOME, name: "home" });
const groupOf = (call: { path: string } | undefined) =>
  new URL(call?.path ?? "", "http://a").searchParams.get("groupId");

let lists: { path: string }[];
beforeEach(() => {
  lists = answer("get", "/webhooks", ({ path }) =>
    groupOf({ path }) === OTHERS
      ? problem(403, "Not allowed", "not yours")
      : { items: [webhook({ name: `Hook of ${groupOf({ path })}` })], nextCursor: null },
  );
  answer("get", "/stats/webhooks", () => ({ items: [] }));
});

test("somebody with several groups chooses one by its name, and the URL keeps its id", async () => {
  several();
  const { router, user } = show("/webhooks", null);
  expect(await screen.findByRole("heading", { name: "Which group?" })).toBeVisible();
  const names = within(screen.getByRole("list")).getAllByRole("link");
  expect(names.map((link) => link.textContent)).toEqual([HTML, "home", "Office"]);
  expect(lists).toHaveLength(0);
  screen.getByRole("link", { name: "Office" }).focus();
  await user.keyboard("{Enter}");
  expect(await screen.findByText(`Hook of ${OFFICE}`)).toBeVisible();
  expect(router.state.location.search).toEqual({ group: OFFICE });
  expect(screen.getByRole("button", { name: /Group .*Office/ })).toBeVisible();
  expect(document.title).toBe("Webhooks · Office · Taskwire");
  router.history.back();
  expect(await screen.findByRole("heading", { name: "Which group?" })).toBeVisible();
});

test("somebody with one group is led to it at once, and has nothing to switch", async () => {
  groups({ id: OFFICE, name: "Office" });
  const { router } = show("/webhooks", null);
  expect(await screen.findByText(`Hook of ${OFFICE}`)).toBeVisible();
  expect(router.state.location.search).toEqual({ group: OFFICE });
  expect(screen.getByRole("group", { name: /Group .*Office/ })).toHaveTextContent("Office");
  expect(screen.queryByRole("button", { name: /Group/ })).toBeNull();
});

test("the header switches by name: nothing of the group before is shown, and back leads back", async () => {
  several();
  answer("get", "/webhooks/:id", () => webhook({ groupId: OFFICE, name: "Payroll" }));
  answer("get", "/webhooks/:id/deliveries", () => ({ items: [], nextCursor: null }));
  const { router, user } = show(`/webhooks/65a0000000000000000000b2?status=failed`, OFFICE);
  expect(await screen.findByRole("heading", { name: "Payroll" })).toBeVisible();
  await user.click(screen.getByRole("button", { name: /Group .*Office/ }));
  expect(await screen.findByRole("menuitem", { name: "Office", current: true })).toBeVisible();
  await user.click(screen.getByRole("menuitem", { name: "home" }));
  expect(await screen.findByText(`Hook of ${HOME}`)).toBeVisible();
  expect(router.state.location.pathname).toBe("/webhooks");
  expect(router.state.location.search).toEqual({ group: HOME });
  expect(screen.queryByText("Payroll")).toBeNull();
  router.history.back();
  expect(await screen.findByRole("heading", { name: "Payroll" })).toBeVisible();
  expect(screen.getByRole("button", { name: /Group .*Office/ })).toBeVisible();
});

test("a link to a delivery needs no group: its webhook tells it", async () => {
  several();
  answer("get", "/webhooks/:id", () => webhook({ groupId: OFFICE, name: "Payroll" }));
  answer("get", "/webhooks/:id/deliveries", () => ({ items: [], nextCursor: null }));
  answer("get", "/webhooks/:id/deliveries/:delivery", () => deliveryDetail());
  const { router } = show("/webhooks/65a0000000000000000000b2?delivery=dlv_1", null);
  expect(await screen.findByRole("dialog", { name: "Delivery" })).toBeVisible();
  expect(router.state.location.search).toEqual({ group: OFFICE, delivery: "dlv_1" });
});

test("a webhook is shown as its own group's, whichever the link names", async () => {
  several();
  answer("get", "/webhooks/:id", () => webhook({ groupId: OFFICE, name: "Payroll" }));
  answer("get", "/webhooks/:id/deliveries", () => ({ items: [], nextCursor: null }));
  const { router } = show("/webhooks/65a0000000000000000000b2?status=failed", HOME);
  expect(await screen.findByRole("heading", { name: "Payroll" })).toBeVisible();
  expect(screen.getByRole("button", { name: /Group .*Office/ })).toBeVisible();
  expect(router.state.location.search).toEqual({ group: OFFICE, status: "failed" });
});

test("a URL with the id in capitals is of the same group", async () => {
  several();
  show("/webhooks", OFFICE.toUpperCase());
  expect(await screen.findByRole("button", { name: /Group .*Office/ })).toBeVisible();
  await waitFor(() => expect(groupOf(lists.at(-1))).toBe(OFFICE));
});

describe("a group that is not the reader's", () => {
  test("is said to be none, and their own are offered", async () => {
    several();
    const { router, user } = show("/webhooks", OTHERS);
    expect(await screen.findByRole("heading", { name: "You do not administer this group", level: 1 })).toBeVisible();
    expect(screen.queryByRole("button", { name: /Group/ })).toBeNull();
    await user.click(await screen.findByRole("link", { name: "home" }));
    expect(await screen.findByText(`Hook of ${HOME}`)).toBeVisible();
    expect(router.state.location.search).toEqual({ group: HOME });
  });

  test("becomes theirs once they are made an admin", async () => {
    several();
    const { user } = show("/webhooks", "65a0000000000000000000fe");
    const again = await screen.findByRole("button", { name: "Try again" });
    groups({ id: "65a0000000000000000000fe", name: "New" });
    await user.click(again);
    expect(await screen.findByText("Hook of 65a0000000000000000000fe")).toBeVisible();
    expect(screen.getByRole("group", { name: /Group .*New/ })).toBeVisible();
  });
});

test("who administers no group is told so, and can ask again", async () => {
  groups();
  const { user } = show("/webhooks", null);
  expect(await screen.findByRole("heading", { name: "You administer no group", level: 1 })).toBeVisible();
  groups({ id: OFFICE, name: "Office" });
  await user.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByText(`Hook of ${OFFICE}`)).toBeVisible();
});

test("a list that cannot be had keeps nobody from the group in the URL", async () => {
  answer("get", "/groups", () => problem(500, "Internal error", "a fault of ours"));
  show("/webhooks", OFFICE);
  expect(await screen.findByText(`Hook of ${OFFICE}`)).toBeVisible();
  expect(await screen.findByRole("group", { name: /Group/ })).toHaveTextContent("65a000…0000a1");
});

describe("of many groups", () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, number) => ({ id: String(number).padStart(24, "0"), name: `Team ${number}` }));

  test("one is found by a part of its name", async () => {
    groups(...many(30), { id: OFFICE, name: "משרד" });
    const { user } = show("/webhooks", null);
    await user.type(await screen.findByRole("textbox", { name: "Search groups" }), "משר");
    await waitFor(() => expect(screen.getAllByRole("link", { name: /Team|משרד/ })).toHaveLength(1));
    await user.type(screen.getByRole("textbox", { name: "Search groups" }), "x");
    expect(await screen.findByText("Nothing matches")).toBeVisible();
  });

  test("the list may be cut: another one is opened by its id, and is not said to be foreign", async () => {
    groups(...many(200));
    const { router, user } = show("/webhooks", null);
    await user.type(await screen.findByLabelText("Group id"), `  ${OFFICE} {Enter}`);
    expect(await screen.findByText(`Hook of ${OFFICE}`)).toBeVisible();
    expect(router.state.location.search).toEqual({ group: OFFICE });
    await user.click(screen.getByRole("button", { name: /Group/ }));
    await user.click(await screen.findByRole("menuitem", { name: "Another group…" }));
    await user.type(await screen.findByLabelText("Group id"), `${HOME}{Enter}`);
    expect(await screen.findByText(`Hook of ${HOME}`)).toBeVisible();
  });
});

test("groups of one name are told apart by their ids, and one without a name is known by it", async () => {
  groups({ id: HOME, name: "Family" }, { id: OFFICE, name: "family " }, { id: ZOO, name: null });
  show("/webhooks", null);
  const links = await screen.findAllByRole("link", { name: /65a000…/ });
  expect(links.map((link) => link.textContent)).toEqual([
    "Family65a000…0000a2",
    "family 65a000…0000a1",
    "65a000…0000a3",
  ]);
});

test("names are sorted as the reader's language does, numbers by their value", () => {
  const sorted = byName(
    ["b 10", null, "ב", "b 9", "A", "א"].map((name, id) => ({ id: String(id), name })),
    "he",
  );
  expect(sorted.map(({ name }) => name).slice(-1)).toEqual([null]);
  const at = (name: string) => sorted.findIndex((one) => one.name === name);
  expect(at("א")).toBeLessThan(at("ב"));
  expect(at("A")).toBeLessThan(at("b 9"));
  expect(at("b 9")).toBeLessThan(at("b 10"));
});

// Last: what is embedded stays so.
test("in a frame the host says the group: there is no switcher, and no other is offered", async () => {
  several();
  session.embed(() => {});
  const { router } = show("/webhooks", OFFICE);
  expect(await screen.findByText(`Hook of ${OFFICE}`)).toBeVisible();
  expect(screen.queryByRole("button", { name: /Group/ })).toBeNull();
  void router.navigate({ to: ".", search: { group: OTHERS } });
  expect(await screen.findByRole("heading", { name: "You do not administer this group", level: 1 })).toBeVisible();
  expect(screen.queryByRole("link", { name: "home" })).toBeNull();
});
