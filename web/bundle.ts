import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import postcss from "postcss";
import type { Plugin, Rollup } from "vite";

/** The most that a browser loads before the first page stands, in bytes over the wire. */
export const FIRST_LOAD_MAX = 300 * 1024;

const zip = (text: string | Uint8Array) => gzipSync(text, { level: 9 });

/** Puts a `.gz` beside each text of the build, so that taskwire-api serves it without compressing anything itself. */
export function gzipped(): Plugin {
  return {
    name: "gzipped",
    apply: "build",
    writeBundle() {
      const assets = join(import.meta.dirname, "dist/assets");
      for (const name of readdirSync(assets)) {
        if (/\.(js|css|svg)$/.test(name)) {
          const file = join(assets, name);
          writeFileSync(`${file}.gz`, zip(readFileSync(file)));
        }
      }
    },
  };
}

const isChunk = (file: Rollup.OutputAsset | Rollup.OutputChunk) => file.type === "chunk";

/** The classes that Mantine's components give themselves: `m_` and a hash. */
const MANTINE = /m_[0-9a-f]{6,}/g;

/** Leaves out the styles of Mantine's components that no script of the build names: most of them. */
export function onlyUsedStyles(): Plugin {
  return {
    name: "only-used-styles",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const files = Object.values(bundle);
      const used = new Set(files.filter(isChunk).flatMap(({ code }) => code.match(MANTINE) ?? []));
      const isUsed = (selector: string) => (selector.match(MANTINE) ?? []).every((name) => used.has(name));
      for (const file of files) {
        if (file.type !== "asset" || !file.fileName.endsWith(".css")) continue;
        const styles = postcss.parse(String(file.source));
        styles.walkRules((rule) => {
          const left = rule.selectors.filter(isUsed);
          if (left.length === 0) rule.remove();
          else if (left.length < rule.selectors.length) rule.selectors = left;
        });
        styles.walkAtRules((rule) => {
          if (rule.nodes?.length === 0) rule.remove();
        });
        file.source = styles.toString();
      }
    },
  };
}

/** What each language's reader loads besides what all load: its texts and letters. */
const LANGUAGES = {
  en: { texts: "src/i18n/en.ts", letters: ["heebo-latin"] },
  he: { texts: "src/i18n/he.ts", letters: ["heebo-latin", "heebo-hebrew"] },
};
const FIRST_PAGE = "src/overview/OverviewPage.tsx";

/** Weighs the first load in each language, and fails the build where it is too much. */
export function firstLoad(): Plugin {
  return {
    name: "first-load",
    apply: "build",
    enforce: "post",
    // Last of all plugins, and before anything is written.
    generateBundle(_, bundle) {
      const files = Object.values(bundle);
      const chunks = files.filter(isChunk);
      const asset = (name: string) => files.find((file) => file.fileName.includes(name) && file.type === "asset");
      const chunkOf = (source: string) => {
        const found = chunks.find((chunk) => chunk.facadeModuleId?.endsWith(`/${source}`));
        return found ?? this.error(`the build has no script of its own for ${source}`);
      };
      for (const [language, { texts, letters }] of Object.entries(LANGUAGES)) {
        const loaded = new Map<string, string | Uint8Array>();
        const load = (chunk: Rollup.OutputChunk) => {
          if (loaded.has(chunk.fileName)) return;
          loaded.set(chunk.fileName, zip(chunk.code));
          for (const name of chunk.viteMetadata?.importedCss ?? []) {
            const styles = bundle[name];
            if (styles?.type === "asset") loaded.set(name, zip(styles.source));
          }
          for (const name of chunk.imports) {
            const imported = bundle[name];
            if (imported?.type === "chunk") load(imported);
          }
        };
        for (const chunk of chunks.filter((one) => one.isEntry)) load(chunk);
        load(chunkOf(texts));
        load(chunkOf(FIRST_PAGE));
        for (const name of [...letters, "index.html"]) {
          const file = asset(name) ?? this.error(`the build has no ${name}`);
          // Typefaces are compressed in themselves; the page is written anew for each visit.
          if (file.type === "asset") loaded.set(name, file.source);
        }
        const sum = [...loaded.values()].reduce((bytes, one) => bytes + one.length, 0);
        const said = `first load in ${language}: ${Math.ceil(sum / 1024)} KB of ${FIRST_LOAD_MAX / 1024}`;
        if (sum > FIRST_LOAD_MAX) this.error(`${said}, in ${[...loaded.keys()].join(", ")}`);
        console.log(said);
      }
    },
  };
}
