import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { firstLoad, gzipped, onlyUsedStyles } from "./bundle.ts";

export default defineConfig({
  base: "/admin/",
  plugins: [react(), onlyUsedStyles(), firstLoad(), gzipped()],
  build: { target: "es2022", modulePreload: { polyfill: false } },
  server: { proxy: { "/api": process.env.TASKWIRE_API ?? "http://127.0.0.1:8080" } },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/test/setup.ts"],
    css: false,
    testTimeout: 30_000,
  },
});
