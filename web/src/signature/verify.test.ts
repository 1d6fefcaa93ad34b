import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { hints, inspect, parseHeaders } from "./verify";

type Vector = {
  name: string;
  secret: string;
  previous: string | null;
  id: string;
  timestamp: number;
  body: string;
  xSignature: string;
  webhookSignature: string;
};
const vectors: Vector[] = JSON.parse(readFileSync("../tests/vectors/signing.json", "utf8"));
const headersOf = (vector: Vector) =>
  `X-Timestamp: ${vector.timestamp}\nX-Signature: ${vector.xSignature}\nwebhook-id: ${vector.id}\nwebhook-signature: ${vector.webhookSignature}`;

describe("the signature check", () => {
  test.each(vectors)("finds which secret signed: $name", async (vector) => {
    const pasted = { headers: headersOf(vector), body: vector.body, secrets: [vector.secret] };
    const found = await inspect(pasted, vector.timestamp * 1000 + 10_000);
    expect(found.skew).toBe(10);
    expect(found.missing).toEqual([]);
    for (const finding of found.findings) expect(finding.match).toEqual({ secret: 0, value: 0 });
    expect(found.findings).toHaveLength(2);
    if (vector.previous !== null) {
      const old = await inspect({ ...pasted, secrets: ["", vector.previous] }, 0);
      for (const finding of old.findings) expect(finding.match).toEqual({ secret: 0, value: 1 });
    }
  });

  test("shows the signed text and what was expected where nothing fits", async () => {
    const [vector] = vectors;
    if (!vector) throw new Error("no vector");
    const pasted = { headers: headersOf(vector), body: `${vector.body}\n`, secrets: [vector.secret] };
    const found = await inspect(pasted, 0);
    expect(found.findings[0]).toMatchObject({ match: null, signed: `${vector.timestamp}.${vector.body}\n` });
    expect(hints(found, pasted)).toContain("newline");
  });

  test("says what is missing", async () => {
    expect((await inspect({ headers: "", body: "", secrets: [] }, 0)).missing).toEqual([
      "timestamp",
      "signature",
      "secret",
      "body",
    ]);
    const noId = await inspect(
      { headers: "webhook-timestamp: 1\nwebhook-signature: v1,abc", body: "{}", secrets: ["x"] },
      0,
    );
    expect(noId.missing).toEqual(["id"]);
  });

  test("reads headers from curl, logs, shells and JSON", () => {
    for (const text of [
      "< x-timestamp: 17\n< X-Signature: sha256=ab",
      `-H 'X-Timestamp: 17' \\\n-H "X-Signature: sha256=ab" \\`,
      '{"X-Timestamp":"17","X-Signature":"sha256=ab"}',
      '  "x-timestamp": "17",\n  "x-signature": "sha256=ab"',
    ]) {
      expect(Object.fromEntries(parseHeaders(text)), text).toEqual({ "x-timestamp": "17", "x-signature": "sha256=ab" });
    }
  });
});
