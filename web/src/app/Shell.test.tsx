import { onlineManager } from "@tanstack/react-query";
import { screen, waitFor } from "@testing-library/react";
import { HttpResponse } from "msw";
import { expect, onTestFinished, test } from "vitest";
import { queryClient } from "../api/queries";
import { session } from "../session/session";
import { answer, problem } from "../test/server";
import { show } from "../test/show";
import { GROUP, webhook } from "../test/things";

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

test("a server whose database is gone is said to be silent too, for as long as it says so", async () => {
  let there = true;
  const gone = () => problem(503, "Unavailable", "the database does not answer at present: try again");
  answer("get", "/webhooks", () => (there ? { items: [], nextCursor: null } : gone()));
  answer("get", "/status", () => (there ? status : gone()));
  show("/");
  expect(await screen.findByText("Up to date, 12 ms behind")).toBeVisible();
  there = false;
  await queryClient.invalidateQueries();
  expect(await screen.findByText(/Taskwire does not answer at present/)).toBeVisible();
  there = true;
  await queryClient.invalidateQueries();
  await waitFor(() => expect(screen.queryByText(/Taskwire does not answer at present/)).toBeNull());
});

test("what is clicked while the browser is offline fails at once, and is not done later", async () => {
  const hook = webhook();
  answer("get", "/webhooks", () => ({ items: [hook], nextCursor: null }));
  answer("get", "/webhooks/:id", () => HttpResponse.json(hook, { headers: { etag: '"1"' } }));
  answer("get", "/webhooks/:id/deliveries", () => ({ items: [], nextCursor: null }));
  const puts = answer("put", "/webhooks/:id", () => HttpResponse.error());
  const { user } = show(`/webhooks/${hook.id}`);
  const pause = await screen.findByRole("button", { name: "Pause" });
  onlineManager.setOnline(false);
  onTestFinished(() => onlineManager.setOnline(true));
  await user.click(pause);
  expect(await screen.findByText("Taskwire cannot be reached")).toBeVisible();
  const later = answer("put", "/webhooks/:id", () => hook);
  const again = answer("get", "/webhooks/:id", () => HttpResponse.json(hook, { headers: { etag: '"1"' } }));
  onlineManager.setOnline(true);
  await waitFor(() => expect(again.length).toBeGreaterThan(0));
  expect([...puts, ...later]).toHaveLength(1);
});

test("a first token that the server refuses is not said to have expired; one that worked is", async () => {
  const refuse = () => problem(401, "Not signed in", "the token cannot be used");
  answer("get", "/groups", refuse);
  answer("get", "/webhooks", refuse);
  session.signOut();
  show("/webhooks");
  expect(await screen.findByText("This token is not accepted here")).toBeVisible();
  answer("get", "/groups", () => ({ items: [{ id: GROUP, name: "Household" }], nextCursor: null }));
  answer("get", "/webhooks", () => ({ items: [webhook()], nextCursor: null }));
  answer("get", "/stats/webhooks", () => ({ items: [] }));
  session.signIn("good");
  expect(await screen.findByText("Payroll")).toBeVisible();
  answer("get", "/webhooks", refuse);
  void queryClient.invalidateQueries({ queryKey: ["webhooks"] });
  expect(await screen.findByText("Your sign-in has expired")).toBeVisible();
});

test("red says why: too little time is left, though changes are read", async () => {
  answer("get", "/webhooks", () => ({ items: [], nextCursor: null }));
  answer("get", "/status", () => ({ ...status, oplogRemainingSeconds: 7_200 }));
  show("/");
  expect(await screen.findByText(/lost after 2 hrs already: an operator should see to it today/)).toBeVisible();
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
