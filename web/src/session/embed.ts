import * as z from "zod";
import { session } from "./session";

/** What the embedding page may send, at first and whenever one of it changes. */
const FromHost = z.object({
  type: z.literal("taskwire:session"),
  token: z.string().min(1).optional(),
  groupId: z.string().min(1).optional(),
  groupName: z.string().optional(),
  locale: z.string().optional(),
  theme: z.enum(["light", "dark", "auto"]).optional(),
});
export type HostMessage = z.infer<typeof FromHost>;

/** Origins that may embed this page: the server's setting, written into the page. */
export function allowedOrigins(): string[] {
  const content = document.querySelector<HTMLMetaElement>('meta[name="taskwire-embedders"]')?.content ?? "";
  return content.split(/\s+/).filter((origin) => /^https?:\/\//.test(origin));
}

/**
 * Talks with the page around this one, if there is one. Messages count only from the parent window and only from an origin
 * that the server allows; ours hold nothing secret and are addressed to those origins.
 */
export function startEmbedding(apply: (message: HostMessage) => void) {
  if (window.parent === window) return;
  const origins = allowedOrigins();
  const tell = (type: string) => {
    for (const origin of origins) window.parent.postMessage({ type }, origin);
  };
  window.addEventListener("message", (event) => {
    if (event.source !== window.parent || !origins.includes(event.origin)) return;
    const message = FromHost.safeParse(event.data);
    if (message.success) apply(message.data);
  });
  session.embed(() => tell("taskwire:token-needed"));
  tell("taskwire:ready");
}
