import { screen, waitFor, within } from "@testing-library/react";
import { HttpResponse } from "msw";
import { describe, expect, test } from "vitest";
import { queryClient } from "../api/queries";
import type { Inbound } from "../api/types";
import { answer, problem } from "../test/server";
import { show } from "../test/show";
import { GROUP } from "../test/things";

const unset = {
  id: null,
  groupId: GROUP,
  enabled: false,
  scopes: [],
  ipAllowlist: [],
  rateLimitPerMinute: 300,
  secretHint: null,
  rotation: null,
} as unknown as Inbound;
const set = { ...unset, enabled: true, secretHint: "LaSw" };

const versioned = (value: unknown, version: number) =>
  HttpResponse.json(value as object, { headers: { etag: `"${version}"` } });

/** A group's settings as a server keeps them: refuses what refers to an older version. */
function api(first: Inbound, version: number) {
  const there = { value: first, version };
  answer("get", "/inbound/receipts", () => ({ items: [], nextCursor: null }));
  answer("get", "/inbound", () => versioned(there.value, there.version));
  const puts = answer("put", "/inbound", ({ headers, body }) => {
    if (headers.get("if-match") !== `"${there.version}"`) return problem(412, "Changed in the meantime", "another");
    there.value = { ...there.value, secretHint: "LaSw", ...(body as object) };
    there.version += 1;
    return versioned(there.value, there.version);
  });
  const change = (part: Partial<Inbound>) => {
    there.value = { ...there.value, ...part };
    there.version += 1;
  };
  return { puts, change };
}
const refresh = () => queryClient.invalidateQueries({ queryKey: ["inbound"] });
const rate = () => screen.findByLabelText(/a minute/);

describe("what partners may do", () => {
  test("is followed while nothing is entered, and what is entered stays", async () => {
    const { change } = api(set, 1);
    const { user } = show("/inbound");
    expect(await rate()).toHaveValue("300");
    change({ rateLimitPerMinute: 50, scopes: ["tasks:write"] });
    await refresh();
    await waitFor(async () => expect(await rate()).toHaveValue("50"));
    expect(screen.getByRole("checkbox", { name: /tasks:write/ })).toBeChecked();
    expect(screen.queryByText("Unsaved changes")).toBeNull();

    await user.click(screen.getByRole("checkbox", { name: /tasks:approve/ }));
    change({ rateLimitPerMinute: 70 });
    await refresh();
    const notice = await screen.findByTestId("conflict");
    expect(within(notice).getByText("70")).toBeVisible();
    expect(screen.getByRole("checkbox", { name: /tasks:approve/ })).toBeChecked();
    await user.click(within(notice).getByRole("button", { name: "Discard mine, take theirs" }));
    await waitFor(async () => expect(await rate()).toHaveValue("70"));
    expect(screen.getByRole("checkbox", { name: /tasks:approve/ })).not.toBeChecked();
  });

  test("takes networks that were pasted one a line, and leads to the one that is none", async () => {
    const { puts } = api(set, 1);
    const { user } = show("/inbound");
    const networks = await screen.findByLabelText(/Addresses that may call/, { selector: "input" });
    await user.click(networks);
    await user.paste("203.0.113.0/24\n198.51.100.7 elsewhere");
    for (const network of ["203.0.113.0/24", "198.51.100.7", "elsewhere"]) {
      expect(await screen.findByText(network)).toBeVisible();
    }
    await user.click(screen.getByRole("button", { name: "Save changes" }));
    expect(networks).toHaveFocus();
    expect(puts).toHaveLength(0);
    await user.keyboard("{Backspace}");
    await user.click(screen.getByRole("button", { name: "Save changes" }));
    await waitFor(() => expect(puts[0]?.body).toEqual({ ipAllowlist: ["203.0.113.0/24", "198.51.100.7"] }));
  });

  test("that somebody else set up meanwhile is not overwritten by a page that shows none yet", async () => {
    const { puts, change } = api(unset, 0);
    const { user } = show("/inbound");
    const networks = await screen.findByPlaceholderText("203.0.113.0/24");
    change({ enabled: true, scopes: ["tasks:write"], secretHint: "LaSw" });
    await user.type(networks, "203.0.113.7{Enter}");
    await user.click(screen.getByRole("button", { name: "Save changes" }));
    const notice = await screen.findByTestId("conflict");
    expect(puts[0]?.headers.get("if-match")).toBe('"0"');
    expect(within(notice).getByText("tasks:write")).toBeVisible();
    await waitFor(() => expect(notice.parentElement).toHaveFocus());
    await user.click(within(notice).getByRole("button", { name: "Save my changes on top" }));
    await waitFor(() => expect(puts).toHaveLength(2));
    expect(puts[1]?.body).toEqual({ ipAllowlist: ["203.0.113.7"] });
    expect(puts[1]?.headers.get("if-match")).toBe('"1"');
    await waitFor(() => expect(screen.queryByText("Unsaved changes")).toBeNull());
    expect(screen.getByRole("checkbox", { name: /tasks:write/ })).toBeChecked();
  });

  test("is saved at once where what changed meanwhile is nothing of the form", async () => {
    const { puts, change } = api(set, 1);
    const { user } = show("/inbound");
    await user.click(await screen.findByRole("checkbox", { name: /tasks:write/ }));
    change({ secretHint: "otherone" });
    await user.click(screen.getByRole("button", { name: "Save changes" }));
    expect(await screen.findByText("Saved.")).toBeVisible();
    expect(puts.map(({ body }) => body)).toEqual([{ scopes: ["tasks:write"] }, { scopes: ["tasks:write"] }]);
  });

  test("is judged at its field: by the page where it can, else in the server's words", async () => {
    api(set, 1);
    const puts = answer("put", "/inbound", () =>
      problem(422, "Invalid fields", "cannot be used", [{ field: "ipAllowlist[0]", message: "must be a network" }]),
    );
    const { user } = show("/inbound");
    const field = await rate();
    await user.clear(field);
    await user.type(field, "60001");
    expect(await screen.findByText("Enter a whole number from 1 to 60,000.")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Save changes" }));
    expect(puts).toHaveLength(0);
    await user.clear(field);
    await user.type(field, "60000");
    await user.click(screen.getByRole("button", { name: "Save changes" }));
    expect(await screen.findByText("must be a network")).toBeVisible();
    expect(screen.queryByText("Invalid fields")).toBeNull();
  });
});
