import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const read = (path: string) => readFileSync(resolve(import.meta.dirname, "../../..", path), "utf8");

test("the React snippet of the docs is the very code of the sample application", () => {
  const told = /<!-- React snippet -->\s*```tsx\n([\s\S]*?)```/.exec(read("docs/EMBEDDING.md"))?.[1];
  const used = /\/\/ snippet\n([\s\S]*?)\/\/ end of snippet/.exec(
    read("docs/samples/embedding/src/Integrations.tsx"),
  )?.[1];
  expect(told).toBe(used);
  expect(used).toContain("taskwire:session");
});
