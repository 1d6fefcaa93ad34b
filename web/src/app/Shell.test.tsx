import { screen, waitFor } from "@testing-library/react";
import { HttpResponse } from "msw";
import { expect, test } from "vitest";
import { queryClient } from "../api/queries";
import { session } from "../session/session";
import { answer } from "../test/server";
import { show } from "../test/show";
import { webhook } from "../test/things";

const status = { state: "live", lagSeconds: 0.012, oplogRemainingSeconds: 86_400, paused: false, at: null };
const tokenOf = (sub: string) => `h.${btoa(JSON.stringify({ sub }))}.s`;

test("a server that stops answering is said to be silent, and its last word on the stream no longer stands", async () => {
  let answers = true;
  // What a proxy says of a server that is down.
  const silent = () =>
    new HttpResponse("<h1>Bad Gateway</h1>", { status: 502, headers: { "content-type": "text/html" } });
  answer("get", "/webhooks", () => (answers ? { items: [], nextCursor: null } : silent()));
  answer("get", "/status", () => (answers ? status : silent()));
  show("/");
  expect(await screen.findByText("Up to date, 12 ms behind")).toBeVisible();
  expect(screen.queryByText(/Taskwire does not answer at present/)).toBeNull();
  answers = false;
  await queryClient.invalidateQueries();
  expect(await screen.findByText(/Taskwire does not answer at present/)).toBeVisible();
  expect(await screen.findByText("Taskwire cannot be reached")).toBeVisible();
  expect(screen.queryByText("Up to date, 12 ms behind")).toBeNull();
  answers = true;
  await queryClient.invalidateQueries();
  expect(await screen.findByText("Up to date, 12 ms behind")).toBeVisible();
  expect(screen.queryByText(/Taskwire does not answer at present/)).toBeNull();
});

test("another person's token shows nothing of the one before", async () => {
  const mine = () => ({ items: [webhook({ name: "Mine" })], nextCursor: null });
  answer("get", "/webhooks", mine);
  answer("get", "/stats/webhooks", () => ({ items: [] }));
  show("/webhooks");
  session.signIn(tokenOf("a"));
  expect(await screen.findByText("Mine")).toBeVisible();
  // The same person's next token changes nothing.
  session.signIn(tokenOf("a"));
  expect(screen.getByText("Mine")).toBeVisible();
  answer("get", "/webhooks", () => new Promise(() => {}));
  session.signIn(tokenOf("b"));
  await waitFor(() => expect(screen.queryByText("Mine")).toBeNull());
});
