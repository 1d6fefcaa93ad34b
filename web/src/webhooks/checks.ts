/** Longest wait between two attempts, in seconds. */
const WAIT_MAX = 86_400;

/** The waits before each further attempt: `backoff · 2^(n-1)`, at most a day. */
export const waits = (maxAttempts: number, backoffSeconds: number): number[] =>
  Array.from({ length: Math.max(0, maxAttempts - 1) }, (_, n) => Math.min(WAIT_MAX, backoffSeconds * 2 ** n));

export const total = (numbers: number[]) => numbers.reduce((sum, one) => sum + one, 0);

function parse(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

export type UrlFault =
  | "form.fault.urlMissing"
  | "form.fault.urlLong"
  | "form.fault.urlBlank"
  | "form.fault.urlBad"
  | "form.fault.urlScheme"
  | "form.fault.urlCredentials"
  | "form.fault.urlFragment";

/** What no server takes as a target. */
export function urlFault(text: string): UrlFault | null {
  if (text === "") return "form.fault.urlMissing";
  if (new TextEncoder().encode(text).length > 2048) return "form.fault.urlLong";
  if (/\s/.test(text)) return "form.fault.urlBlank";
  const url = parse(text);
  if (!url) return "form.fault.urlBad";
  if (url.protocol !== "https:" && url.protocol !== "http:") return "form.fault.urlScheme";
  if (url.username || url.password) return "form.fault.urlCredentials";
  if (url.hash || text.includes("#")) return "form.fault.urlFragment";
  return null;
}

export type UrlWarning = "form.warn.http" | "form.warn.private";

/** What a server takes only where its settings allow it: the page cannot know, and says so. */
export function urlWarning(text: string): UrlWarning | null {
  if (urlFault(text)) return null;
  const url = parse(text);
  if (!url) return null;
  if (isPrivateHost(url.hostname)) return "form.warn.private";
  return url.protocol === "http:" ? "form.warn.http" : null;
}

/** The URL parser has brought every spelling of an IPv4 address (`127.1`, `0x7f000001`) into one. */
export function isPrivateHost(hostname: string): boolean {
  const host = hostname.replace(/\.$/, "").toLowerCase();
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  const v4 = /^(\d+)\.(\d+)\.\d+\.\d+$/.exec(host);
  if (v4) {
    const [a, b] = [Number(v4[1]), Number(v4[2])];
    return (
      a === 0 ||
      a === 10 ||
      a === 127 ||
      a >= 224 ||
      (a === 100 && b >= 64 && b < 128) ||
      (a === 169 && b === 254) ||
      (a === 172 && b >= 16 && b < 32) ||
      (a === 192 && b === 168)
    );
  }
  // Loopback, unspecified, unique local, link local, and IPv4 addresses in IPv6 ones.
  return /^\[(::1?|::ffff:.*|f[cd][0-9a-f]{2}:.*|fe[89ab][0-9a-f]:.*)\]$/.test(host);
}

const OURS = [
  "x-signature",
  "x-timestamp",
  "x-event",
  "x-delivery-id",
  "x-attempt",
  "user-agent",
  "content-type",
  "content-length",
];
const CONNECTION = [
  "host",
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect",
  "content-encoding",
  "http2-settings",
  "accept-encoding",
  "date",
];

export type HeaderFault = {
  part: "name" | "value";
  message: "form.fault.headerName" | "form.fault.headerReserved" | "form.fault.headerTwice" | "form.fault.headerValue";
};
type Header = { name: string; value: string };

export function headerFault({ name, value }: Header, before: Header[]): HeaderFault | null {
  const lower = name.trim().toLowerCase();
  if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(lower)) return { part: "name", message: "form.fault.headerName" };
  // Many servers hand both on under one name.
  const dashed = lower.replaceAll("_", "-");
  if ([...OURS, ...CONNECTION].includes(dashed) || /^(webhook|proxy)-/.test(dashed))
    return { part: "name", message: "form.fault.headerReserved" };
  if (before.some((one) => one.name.trim().toLowerCase() === lower))
    return { part: "name", message: "form.fault.headerTwice" };
  if (!/^[\t\x20-\x7e]*$/.test(value) || value.trim() !== value)
    return { part: "value", message: "form.fault.headerValue" };
  return null;
}

/** Whether a header's value is likely a credential: it is shown masked. */
export const isCredential = (name: string) => /auth|token|key|secret|cookie|password|signature/i.test(name);
