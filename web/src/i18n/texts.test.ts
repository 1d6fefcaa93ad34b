import { describe, expect, test } from "vitest";
import en from "./en";
import { asSeen, formatting } from "./format";
import he from "./he";
import i18next, { languageOf, setLanguage } from "./index";

const flat = (texts: object, at = ""): [string, string][] =>
  Object.entries(texts).flatMap(([key, value]) =>
    typeof value === "string" ? [[`${at}${key}`, value] as [string, string]] : flat(value, `${at}${key}.`),
  );
const placeholders = (text: string) => [...text.matchAll(/{{(\w+)}}/g)].map((found) => found[1]).sort();

describe("the texts", () => {
  test("of both languages take the same values, but that one need not be counted", () => {
    const hebrew = new Map(flat(he));
    for (const [key, text] of flat(en)) {
      const other = hebrew.get(key) ?? "";
      if (key.endsWith("_one")) continue;
      expect(placeholders(other), key).toEqual(placeholders(text));
    }
  });

  test("of Hebrew are in Hebrew, but for names", () => {
    for (const [key, text] of flat(he)) {
      if (text !== "" && text !== "Webhooks" && text !== "Webhook") expect(text, key).toMatch(/[\u0590-\u05ff]/);
    }
  });

  test("of Hebrew keep code in its own direction", () => {
    for (const [key, text] of flat(he)) {
      const bare = text.replace(/\u2066[^\u2069]*\u2069/g, "");
      expect(bare, key).not.toMatch(/[a-z0-9](=|_|:\/\/)(?![a-z0-9])|#…|(?<!\{)\{(?!\{)/i);
    }
  });

  test("count whatever there is to be counted, in both languages", async () => {
    const counted = flat(en).flatMap(([key]) => (key.endsWith("_other") ? [key.replace("_other", "")] : []));
    expect(counted.length).toBeGreaterThan(10);
    for (const language of ["he", "en"] as const) {
      await setLanguage(language);
      for (const key of counted) {
        for (const count of [0, 1, 2, 3, 10, 11, 21, 100]) {
          expect(i18next.t(key as "common.gone", { count }), `${count} in ${language}`).not.toBe(key);
        }
      }
    }
  });

  test("follow a browser's or host's locale", () => {
    expect(["he", "he-IL", "iw"].map(languageOf)).toEqual(["he", "he", "he"]);
    expect(["en", "de-DE", "hex"].map(languageOf)).toEqual(["en", "en", "en"]);
  });
});

describe("figures", () => {
  const format = formatting("en");
  test("of time are the two largest units", () => {
    expect(format.duration(0)).toBe("0 secs");
    expect(format.duration(63)).toBe("1 min 3 secs");
    expect(format.duration(3 * 3600 + 59)).toBe("3 hrs");
    expect(format.duration(90_000)).toBe("1 day 1 hr");
  });
  test("of success never round up to all", () => {
    expect(format.share(9_999, 10_000)).toBe("99.9%");
    expect(format.share(10, 10)).toBe("100%");
    expect(format.share(0, 0)).toBe("–");
  });
});

test("a name is the same however what is seen of it was typed", () => {
  for (const typed of ["Café au lait", "Cafe\u0301 au lait", "Café  au\u00a0lait ", "\u2068Caf\u200bé au lait\u2069"])
    expect(asSeen(typed)).toBe("Café au lait");
  expect(asSeen("\u200b")).toBe("");
});
