import { type Language, languageOf, setLanguage } from "../i18n";

const KEY = "taskwire.language";

/** Language is remembered where the browser allows it. */
function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export const firstLanguage = (): Language => languageOf(remembered() ?? navigator.language);

export async function chooseLanguage(language: Language) {
  await setLanguage(language);
  try {
    localStorage.setItem(KEY, language);
  } catch {
    // Storage is closed to frames in some browsers; then it holds until the page is left.
  }
}
