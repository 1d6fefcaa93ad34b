// Verifies a webhook's X-Signature. Node 18 or later, no dependencies.
//
//     WEBHOOK_SECRET=... node verify.mjs <X-Timestamp> <X-Signature> [now] < body
//
// Exit 0: genuine. 1: not, with the reason. `now` (unix seconds) replaces the clock, for tests.
//
// In a server, take the body as raw bytes, before anything parses it. In Express:
//
//     app.post("/hook", express.raw({ type: "application/json" }), (request, response) => {
//       const reason = verify(secret, request.get("X-Timestamp"), request.get("X-Signature"), request.body);
//       if (reason) return response.status(401).end();
//       const event = JSON.parse(request.body);
//       response.status(204).end();
//     });

import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

const TOLERANCE_SECONDS = 300;

/**
 * Null if the request is genuine, else the reason why not: answer 401 then.
 *
 * @param {string} secret the secret's text, whole, `whsec_` included
 * @param {string | undefined} timestamp the header X-Timestamp
 * @param {string | undefined} signature the header X-Signature
 * @param {Buffer} body the raw bytes
 * @param {number} [now] unix seconds
 */
export function verify(secret, timestamp, signature, body, now = Math.floor(Date.now() / 1000)) {
  if (!/^[0-9]+$/.test(timestamp ?? "")) return "X-Timestamp is not a whole number";
  if (Math.abs(now - Number(timestamp)) > TOLERANCE_SECONDS) return "X-Timestamp is too far from the present";
  const digest = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("hex");
  const wanted = Buffer.from(`sha256=${digest}`);
  // While a rotation is open there are two values; one of them must fit.
  const values = (signature ?? "").split(",").map((value) => Buffer.from(value.trim()));
  // timingSafeEqual throws when the lengths differ.
  const fits = values.some((value) => value.length === wanted.length && timingSafeEqual(value, wanted));
  return fits ? null : "no value of X-Signature fits";
}

/**
 * The same by `npm install standardwebhooks`, which reads webhook-id, webhook-timestamp and webhook-signature.
 * Gives the parsed body; throws WebhookVerificationError.
 *
 * @param {string} secret
 * @param {Record<string, string>} headers
 * @param {Buffer} body
 */
export async function verifyWithTheLibrary(secret, headers, body) {
  const { Webhook } = await import("standardwebhooks");
  // A secret without the prefix is a text, not base64: its UTF-8 bytes are the key.
  const webhook = secret.startsWith("whsec_")
    ? new Webhook(secret)
    : new Webhook(new TextEncoder().encode(secret), { format: "raw" });
  return webhook.verify(body.toString("utf8"), headers);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [timestamp, signature, now] = process.argv.slice(2);
  const secret = process.env.WEBHOOK_SECRET;
  if (secret === undefined || signature === undefined) {
    console.error("WEBHOOK_SECRET=... node verify.mjs <X-Timestamp> <X-Signature> [now] < body");
    process.exit(2);
  }
  const reason = verify(secret, timestamp, signature, readFileSync(0), now === undefined ? undefined : Number(now));
  if (reason) {
    console.error(`not genuine: ${reason}`);
    process.exit(1);
  }
  console.log("genuine");
}
