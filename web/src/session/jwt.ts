/** What a token says of itself. It is not checked here: the server does that. */
export type Claims = { sub?: string; exp?: number };

export function readClaims(token: string): Claims | null {
  const [, payload, signature] = token.split(".");
  if (!payload || !signature) return null;
  try {
    const text = atob(payload.replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null ? claims : null;
  } catch {
    return null;
  }
}

/** People paste what they find: `Bearer …`, quotes, line breaks. */
export const cleanToken = (text: string) =>
  text.replace(/^\s*(authorization:\s*)?bearer\s+/i, "").replace(/["'\s]/g, "");
