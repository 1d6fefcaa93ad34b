import { defineConfig } from "vitest/config";

/** The page in a real browser against the real programs. One file after the other: they share two cores with what they test. */
export default defineConfig({
  test: {
    include: [process.env.TASKWIRE_LOOK ? "e2e/look.ts" : "e2e/**/*.e2e.ts"],
    environment: "node",
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 90_000,
    bail: 1,
  },
});
