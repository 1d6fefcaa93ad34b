import { HttpResponse } from "msw";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { api } from "../api/calls";
import { SignedOut } from "../api/problem";
import { answer, problem } from "../test/server";
import { startEmbedding } from "./embed";
import { cleanToken, readClaims } from "./jwt";
import { session } from "./session";

describe("an expired token", () => {
  beforeEach(() => session.signIn("old"));

  const guarded = () =>
    answer("get", "/status", ({ headers }) =>
      headers.get("authorization") === "Bearer new" ? { state: "live" } : problem(401, "Not signed in", "no longer"),
    );

  test("makes calls wait for the next one, and each is sent again once", async () => {
    const calls = guarded();
    const two = Promise.all([api.status(), api.status()]);
    await vi.waitFor(() => expect(session.get().renewing).toBe(true));
    session.signIn("new");
    expect(await two).toEqual([{ state: "live" }, { state: "live" }]);
    expect(calls).toHaveLength(4);
    expect(session.get().renewing).toBe(false);
  });

  test("lets calls fail when nobody signs in again", async () => {
    guarded();
    const call = api.status();
    const failed = expect(call).rejects.toBeInstanceOf(SignedOut);
    await vi.waitFor(() => expect(session.get().renewing).toBe(true));
    session.signOut();
    await failed;
    await expect(api.status()).rejects.toBeInstanceOf(SignedOut);
  });

  test("is not asked about again and again when the new one is refused too", async () => {
    answer("get", "/status", () => HttpResponse.json({ title: "Not signed in", detail: "no" }, { status: 401 }));
    const call = api.status();
    const failed = expect(call).rejects.toMatchObject({ status: 401 });
    await vi.waitFor(() => expect(session.get().renewing).toBe(true));
    session.signIn("also old");
    await failed;
  });
});

test("a token is known to be good once the server has answered to it, and the next one is not yet", async () => {
  let refused = true;
  answer("get", "/status", () => (refused ? problem(401, "Not signed in", "no") : { state: "live" }));
  session.signOut();
  session.signIn("first");
  const call = api.status();
  await vi.waitFor(() => expect(session.get().renewing).toBe(true));
  expect(session.get().taken).toBe(false);
  refused = false;
  session.signIn("second");
  await call;
  expect(session.get().taken).toBe(true);
  session.signIn("second");
  expect(session.get().taken).toBe(true);
  session.signIn("third");
  expect(session.get().taken).toBe(false);
});

describe("the page around this one", () => {
  const host = { postMessage: vi.fn() } as unknown as Window;
  const parent = Object.getOwnPropertyDescriptor(window, "parent");

  beforeEach(() => {
    document.head.innerHTML = '<meta name="taskwire-embedders" content="https://app.example https://two.example">';
    Object.defineProperty(window, "parent", { value: host, configurable: true });
  });
  afterEach(() => {
    if (parent) Object.defineProperty(window, "parent", parent);
    document.head.innerHTML = "";
  });

  const send = (data: unknown, origin: string, source: unknown = host) =>
    window.dispatchEvent(new MessageEvent("message", { data, origin, source: source as Window }));

  test("is believed only from an allowed origin, from the parent itself, and in the right shape", () => {
    const apply = vi.fn();
    startEmbedding(apply);
    const message = { type: "taskwire:session", token: "t", groupId: "g", locale: "he", theme: "dark" };
    send(message, "https://evil.example");
    send(message, "https://app.example", window);
    send({ ...message, theme: "pink" }, "https://app.example");
    send({ type: "other" }, "https://app.example");
    expect(apply).not.toHaveBeenCalled();
    send(message, "https://app.example");
    expect(apply).toHaveBeenCalledExactlyOnceWith(message);
  });

  test("is told that this one is ready, and only at the allowed origins", () => {
    startEmbedding(() => {});
    expect(host.postMessage).toHaveBeenCalledWith({ type: "taskwire:ready" }, "https://app.example");
    expect(host.postMessage).toHaveBeenCalledWith({ type: "taskwire:ready" }, "https://two.example");
    expect(host.postMessage).not.toHaveBeenCalledWith(expect.anything(), "*");
  });
});

describe("a pasted token", () => {
  const claims = { sub: "64b7f1a2c3d4e5f60718293a", exp: 17 };
  const token = `h.${btoa(JSON.stringify(claims))}.s`;

  test("may carry what people copy with it", () => {
    for (const text of [token, ` Bearer ${token}\n`, `"${token}"`, `Authorization: Bearer ${token}`]) {
      expect(readClaims(cleanToken(text)), text).toEqual(claims);
    }
  });
  test("that is none is told from one", () => {
    for (const text of ["", "abc", "a.b.c", "a..c"]) expect(readClaims(text), text).toBeNull();
  });
});
