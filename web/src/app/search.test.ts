import { expect, test } from "vitest";
import { parseSearch, stringifySearch, webhookSearch } from "./search";

test("filters live in the URL, and come back from it as they were", () => {
  const search = {
    group: "640000000000000000000001",
    status: "dead-letter",
    since: "24h",
    task: "6457e1230000000000000000",
  };
  expect(parseSearch(stringifySearch(search))).toEqual(search);
});

test("an id that looks like a number stays a text", () => {
  expect(parseSearch("?task=12345678901234567890&group=1e5")).toEqual({ task: "12345678901234567890", group: "1e5" });
});

test("what a page does not know takes the place of what the URL says", () => {
  expect(webhookSearch({ status: "no-such", eventType: "task.created", tab: "x", other: "y", task: "" })).toStrictEqual(
    {
      tab: undefined,
      status: undefined,
      eventType: "task.created",
      task: undefined,
      delivery: undefined,
      since: undefined,
      until: undefined,
    },
  );
});
