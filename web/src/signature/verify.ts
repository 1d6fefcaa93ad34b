/** What the debugger finds, all of it computed here: nothing of what is pasted leaves the page. */
export type Finding = {
  scheme: "X-Signature" | "webhook-signature";
  /** What is signed: the text before the HMAC. */
  signed: string;
  /** Which of the secrets made which of the values; null: none of them. */
  match: { secret: number; value: number } | null;
  values: string[];
  expected: string[];
};

export type Inspection = {
  timestamp: number | null;
  /** Seconds that the timestamp is behind the present (negative: ahead). */
  skew: number | null;
  findings: Finding[];
  /** What is missing for a judgement. */
  missing: ("timestamp" | "signature" | "id" | "secret" | "body")[];
};

/** How far a timestamp may be from the present, either way. */
export const MAX_SKEW_SECONDS = 300;

/** Header lines as they are found in logs, curl's output (`< name: value`) or a JSON object. */
export function parseHeaders(text: string): Map<string, string> {
  const headers = new Map<string, string>();
  const trimmed = text.trim();
  if (trimmed.startsWith("{")) {
    try {
      for (const [name, value] of Object.entries(JSON.parse(trimmed))) headers.set(name.toLowerCase(), String(value));
      return headers;
    } catch {
      // No JSON: read as lines.
    }
  }
  for (const line of trimmed.split(/\r?\n/)) {
    const found =
      /^\s*(?:[<>]\s*|-H\s*)?["']?([!#$%&'*+.^_`|~0-9A-Za-z-]+)["']?\s*[:=]\s*["']?(.*?)["']?,?\s*\\?\s*$/.exec(line);
    if (found?.[1]) headers.set(found[1].toLowerCase(), found[2] ?? "");
  }
  return headers;
}

const encode = (text: string) => new TextEncoder().encode(text);

/** The key of Standard Webhooks: the base64 behind `whsec_`, or the text itself. */
function standardKey(secret: string): Uint8Array<ArrayBuffer> | null {
  if (!secret.startsWith("whsec_")) return encode(secret);
  try {
    return Uint8Array.from(atob(secret.slice(6)), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
}

async function hmac(key: Uint8Array<ArrayBuffer>, text: string): Promise<Uint8Array> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, encode(text)));
}

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const base64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));

/** Base64 tells upper from lower case; hex does not. */
function findMatch(values: string[], expected: string[], fold: (text: string) => string) {
  for (const [secret, wanted] of expected.entries()) {
    const value = values.findIndex((one) => wanted !== "" && fold(one) === fold(wanted));
    if (value !== -1) return { secret, value };
  }
  return null;
}

export type Pasted = { headers: string; body: string; secrets: string[] };

export async function inspect({ headers: text, body, secrets: typed }: Pasted, now: number): Promise<Inspection> {
  const headers = parseHeaders(text);
  const secrets = typed.map((secret) => secret.trim()).filter((secret) => secret !== "");
  const stamp = headers.get("x-timestamp") ?? headers.get("webhook-timestamp");
  const timestamp = stamp && /^\d+$/.test(stamp.trim()) ? Number(stamp.trim()) : null;
  const ours = headers.get("x-signature");
  const standard = headers.get("webhook-signature");
  const id = headers.get("webhook-id");
  const missing: Inspection["missing"] = [];
  if (timestamp === null) missing.push("timestamp");
  if (!ours && !standard) missing.push("signature");
  if (standard && !id) missing.push("id");
  if (secrets.length === 0) missing.push("secret");

  const findings: Finding[] = [];
  if (timestamp !== null && ours) {
    const signed = `${stamp?.trim()}.${body}`;
    const values = ours.split(",").map((value) => value.trim());
    const expected = await Promise.all(
      secrets.map(async (secret) => `sha256=${hex(await hmac(encode(secret), signed))}`),
    );
    const match = findMatch(values, expected, (value) => value.toLowerCase());
    findings.push({ scheme: "X-Signature", signed, values, expected, match });
  }
  if (timestamp !== null && standard && id) {
    const signed = `${id}.${stamp?.trim()}.${body}`;
    const values = standard.split(/\s+/).filter((value) => value !== "");
    const expected = await Promise.all(
      secrets.map(async (secret) => {
        const key = standardKey(secret);
        return key && key.length > 0 ? `v1,${base64(await hmac(key, signed))}` : "";
      }),
    );
    findings.push({
      scheme: "webhook-signature",
      signed,
      values,
      expected,
      match: findMatch(values, expected, (value) => value),
    });
  }
  // An empty body can be signed too.
  if (body === "" && !findings.some((finding) => finding.match)) missing.push("body");
  return { timestamp, skew: timestamp === null ? null : Math.round(now / 1000 - timestamp), findings, missing };
}

/** What most often keeps a correct secret from matching. */
export function hints(inspection: Inspection, { body }: Pasted): ("reformatted" | "newline" | "rotation")[] {
  if (inspection.findings.length === 0 || inspection.findings.some((finding) => finding.match)) return [];
  const found: ("reformatted" | "newline" | "rotation")[] = [];
  if (/\r?\n$/.test(body)) found.push("newline");
  if (/^\s*\{\s*\n|":\s/.test(body)) found.push("reformatted");
  if (inspection.findings.some((finding) => finding.values.length > 1)) found.push("rotation");
  return found;
}
