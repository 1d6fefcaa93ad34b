import i18next from "i18next";
import { initReactI18next, useTranslation } from "react-i18next";
import en from "./en";

export const LANGUAGES = { en: "English", he: "עברית" } as const;
export type Language = keyof typeof LANGUAGES;

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "translation";
    resources: { translation: typeof en };
    strictKeyChecks: true;
  }
}

i18next.use(initReactI18next).init({
  lng: "en",
  fallbackLng: "en",
  resources: { en: { translation: en } },
  interpolation: { escapeValue: false },
});

/** `he-IL`, `iw` and the like are Hebrew; whatever else there is no translation for is English. */
export const languageOf = (locale: string): Language => (/^(he|iw)\b/i.test(locale) ? "he" : "en");

export async function setLanguage(language: Language) {
  if (language === "he" && !i18next.hasResourceBundle("he", "translation")) {
    i18next.addResourceBundle("he", "translation", (await import("./he")).default);
  }
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
  document.documentElement.dir = language === "he" ? "rtl" : "ltr";
}

export const useT = () => useTranslation().t;
export const useLanguage = () => languageOf(useTranslation().i18n.language);
export default i18next;
