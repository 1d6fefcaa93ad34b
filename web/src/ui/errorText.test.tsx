import { renderHook } from "@testing-library/react";
import { HttpResponse } from "msw";
import { afterEach, expect, test } from "vitest";
import { Problem } from "../api/problem";
import { setLanguage } from "../i18n";
import { useErrorText } from "./errorText";

afterEach(() => setLanguage("en"));

const problem = (status: number, kind: string, detail: string, more: { errors?: object[]; retryAfter?: string } = {}) =>
  Problem.of(
    HttpResponse.json(
      { type: `urn:taskwire:problem:${kind}`, title: "English title", status, detail, errors: more.errors },
      { status, headers: more.retryAfter ? { "retry-after": more.retryAfter } : {} },
    ),
  );
const textOf = (error: unknown) => renderHook(() => useErrorText()).result.current(error);

test("what is too fast tells how long to wait, and not in which header that stands", async () => {
  const error = await problem(429, "too-fast", "wait as long as Retry-After says", { retryAfter: "63" });
  expect(textOf(error)).toEqual({
    title: "Too fast",
    detail: "So much in so short a time is not allowed. Try again in 1 min 3 secs.",
  });
});

test("problems of a known kind are said in the reader's language, others' words keep their own direction", async () => {
  await setLanguage("he");
  for (const kind of ["unavailable", "timed-out", "busy", "internal", "not-found"]) {
    const { title, detail } = textOf(await problem(503, kind, "in English"));
    expect(`${title} ${detail}`, kind).not.toMatch(/English/);
  }
  const errors = [{ field: "targetUrl", message: "10.0.0.1 is not a public address" }];
  expect(textOf(await problem(422, "invalid", "cannot be used: targetUrl", { errors }))).toEqual({
    title: "חלק מזה אינו קביל",
    detail: "\u2066targetUrl 10.0.0.1 is not a public address\u2069",
  });
  expect(textOf(await problem(409, "conflict", "a test is under way")).detail).toBe("\u2066a test is under way\u2069");
});
