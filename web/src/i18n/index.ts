import i18next from "i18next";
import { initReactI18next, useTranslation } from "react-i18next";
import { Unreachable } from "../api/problem";
import type en from "./en";

export const LANGUAGES = { en: "English", he: "עברית" } as const;
export type Language = keyof typeof LANGUAGES;

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "translation";
    resources: { translation: typeof en };
    strictKeyChecks: true;
  }
}

i18next
  .use(initReactI18next)
  .init({ lng: "en", fallbackLng: false, resources: {}, interpolation: { escapeValue: false } });

/** Each language's texts are loaded when it is chosen. The compiler sees to it that none lacks one. */
const TEXTS = { en: () => import("./en"), he: () => import("./he") } satisfies Record<Language, unknown>;

/** `he-IL`, `iw` and the like are Hebrew; whatever else there is no translation for is English. */
export const languageOf = (locale: string): Language => (/^(he|iw)\b/i.test(locale) ? "he" : "en");

/** Hebrew has a number of its own for two; these texts say of two what they say of many. */
const withTwo = (texts: object): object =>
  Object.fromEntries(
    Object.entries(texts).flatMap(([key, text]): [string, unknown][] => {
      if (typeof text !== "string") return [[key, withTwo(text)]];
      return key.endsWith("_other")
        ? [
            [key, text],
            [key.replace("_other", "_two"), text],
          ]
        : [[key, text]];
    }),
  );

/** Throws `Unreachable` where the texts cannot be loaded; the language is then what it was. */
export async function setLanguage(language: Language) {
  if (!i18next.hasResourceBundle(language, "translation")) {
    const texts = await TEXTS[language]().catch(() => {
      throw new Unreachable();
    });
    i18next.addResourceBundle(language, "translation", withTwo(texts.default));
  }
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
  document.documentElement.dir = language === "he" ? "rtl" : "ltr";
}

export const useT = () => useTranslation().t;
export const useLanguage = () => languageOf(useTranslation().i18n.language);
export default i18next;
