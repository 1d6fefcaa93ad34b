import { isStatus, Problem, Unreachable } from "../api/problem";
import { useLanguage, useT } from "../i18n";
import { ltr, useFormat } from "../i18n/format";

/** Problems that this page has words of its own for. */
const KNOWN = ["unavailable", "timed-out", "busy", "internal", "not-found"] as const;

/** What is said of an error: in the page's words where it knows the kind, else in the server's, which are English. */
export function useErrorText() {
  const t = useT();
  const format = useFormat();
  const language = useLanguage();
  const foreign = (text: string) => (language === "he" ? ltr(text) : text);
  const ofProblem = ({ status, title, detail, faults, type, retryAfter }: Problem) => {
    const kind = KNOWN.find((known) => type === `urn:taskwire:problem:${known}`);
    if (kind) return { title: t(`problem.${kind}.title`), detail: t(`problem.${kind}.detail`) };
    if (status === 429) {
      const time = retryAfter === null ? null : format.duration(Math.max(1, retryAfter));
      return { title: t("problem.tooFast"), detail: time ? t("problem.waitFor", { time }) : t("problem.wait") };
    }
    const said = faults.map(({ field, message }) => `${field} ${message}`).join("; ") || detail;
    if (type === "urn:taskwire:problem:conflict") return { title: t("problem.conflict"), detail: foreign(said) };
    if (type === "urn:taskwire:problem:invalid") return { title: t("problem.invalid"), detail: foreign(said) };
    return { title: title ? foreign(title) : t("state.failed"), detail: foreign(said) };
  };
  return (error: unknown): { title: string; detail: string } => {
    if (error instanceof Unreachable) return { title: t("state.offline"), detail: t("state.offlineDetail") };
    if (isStatus(error, 403)) return { title: t("state.noAdmin"), detail: t("state.noAdminDetail") };
    if (error instanceof Problem) return ofProblem(error);
    return { title: t("state.failed"), detail: foreign(error instanceof Error ? error.message : String(error)) };
  };
}
