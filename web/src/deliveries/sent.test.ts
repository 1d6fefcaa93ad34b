import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { deliveryDetail, webhook } from "../test/things";
import { asCurl, headersOf, ownHeadersOf } from "./sent";

const hook = webhook({ headers: { Authorization: "Bearer very-secret", "X-Shop": "north" } });

describe("a delivery as it was sent", () => {
  test("shows the headers that were surely sent, with signatures masked", () => {
    const headers = new Map(
      headersOf(deliveryDetail(), { attempt: 2, at: "2025-12-15T12:34:56.900Z" }).map(({ name, value }) => [
        name,
        value,
      ]),
    );
    expect(headers.get("X-Timestamp")).toBe("1765802096");
    expect(headers.get("X-Attempt")).toBe("2");
    expect(headers.get("X-Signature")).toBe("sha256=••••••••");
  });

  test("shows those of the settings apart, with credentials masked", () => {
    expect(ownHeadersOf(hook)).toEqual([
      { name: "Authorization", value: "••••••••" },
      { name: "X-Shop", value: "north" },
    ]);
  });

  test("as curl is a script that a shell reads, quotes in the body included, and holds no credential", () => {
    const detail = deliveryDetail();
    const script = asCurl(detail, hook);
    expect(script).not.toContain("very-secret");
    // curl itself is replaced by what prints its last argument.
    const body = execFileSync("sh", ["-c", `curl() { for last; do :; done; printf %s "$last"; }\n${script}`], {
      env: { PATH: process.env.PATH, SECRET: "a-secret-for-trying" },
    });
    expect(body.toString()).toBe(detail.body);
  });
});
