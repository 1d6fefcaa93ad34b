import { renderHook } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { fromLocalInput, toLocalInput, useFilter } from "./filter";

afterEach(() => {
  vi.useRealTimers();
});

test("a window begins where it began when it was chosen, however long the page stays open", () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.parse("2026-01-02T12:00:00Z") });
  const { result, rerender } = renderHook(useFilter, { initialProps: { since: "1h" } });
  expect(result.current.since).toBe("2026-01-02T11:00:00.000Z");
  vi.setSystemTime(Date.parse("2026-01-02T12:10:00Z"));
  rerender({ since: "1h" });
  expect(result.current.since).toBe("2026-01-02T11:00:00.000Z");
  rerender({ since: "24h" });
  expect(result.current.since).toBe("2026-01-01T12:10:00.000Z");
});

test("a time goes through its field and back, and one that is none is none", () => {
  expect(toLocalInput(fromLocalInput("2026-01-02T03:04"))).toBe("2026-01-02T03:04");
  for (const text of ["", "20266-01-02T03:04", "2026-13-01T00:00"]) expect(fromLocalInput(text), text).toBeUndefined();
});
