import { session } from "./session";

/** What the embedding page may send, at first and whenever one of it changes. */
export type HostMessage = {
  type: "taskwire:session";
  token?: string;
  groupId?: string;
  locale?: string;
  theme?: "light" | "dark" | "auto";
};

function isFromHost(data: unknown): data is HostMessage {
  if (typeof data !== "object" || data === null) return false;
  const { type, theme, ...texts } = data as Record<string, unknown>;
  return (
    type === "taskwire:session" &&
    (theme === undefined || ["light", "dark", "auto"].includes(theme as string)) &&
    [texts.token, texts.groupId, texts.locale].every((one) => one === undefined || typeof one === "string")
  );
}

/** Origins that may embed this page: the server's setting, written into the page. */
export function allowedOrigins(): string[] {
  const content = document.querySelector<HTMLMetaElement>('meta[name="taskwire-embedders"]')?.content ?? "";
  return content.split(/\s+/).filter((origin) => /^https?:\/\//.test(origin));
}

/**
 * Talks with the page around this one, if there is one. Messages count only from the parent window and only from an origin
 * that the server allows; ours hold nothing secret and are addressed to those origins. What it answers ends the listening.
 */
export function startEmbedding(apply: (message: HostMessage) => void): (() => void) | undefined {
  if (window.parent === window) return undefined;
  const origins = allowedOrigins();
  const tell = (type: string) => {
    for (const origin of origins) window.parent.postMessage({ type }, origin);
  };
  const listen = (event: MessageEvent) => {
    if (event.source !== window.parent || !origins.includes(event.origin)) return;
    if (isFromHost(event.data)) apply(event.data);
  };
  window.addEventListener("message", listen);
  session.embed(() => tell("taskwire:token-needed"));
  tell("taskwire:ready");
  return () => window.removeEventListener("message", listen);
}
