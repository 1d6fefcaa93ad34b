// Calls the inbound endpoint. Node 18 or later, no dependencies.
//
//     INBOUND_SECRET=... node inbound.mjs POST <base>/api/integrations/inbound/<groupId>/tasks < body.json
//     INBOUND_SECRET=... node inbound.mjs GET <base>/api/integrations/inbound/<groupId>/tasks/<externalId>
//
// Prints the HTTP status, then the answer. Exit 0 for a 2xx.

import { createHmac } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/**
 * The headers that sign a body: the very bytes that are sent, empty for a GET.
 *
 * @param {string} secret the secret's text, whole, `whsec_` included
 * @param {Buffer | string} body
 */
export function sign(secret, body, timestamp = Math.floor(Date.now() / 1000)) {
  const digest = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("hex");
  return { "X-Timestamp": String(timestamp), "X-Signature": `sha256=${digest}` };
}

/**
 * Sends a request until it is answered, at most five times. The same signed request has one effect, however often it
 * arrives: so it is signed once, and sent again as it is while its time is good (300 s).
 */
export async function call(secret, method, url, body = "") {
  const headers = { ...sign(secret, body), "Content-Type": "application/json" };
  for (let attempt = 1; ; attempt++) {
    let wait = 2 ** attempt;
    try {
      const answer = await fetch(url, { method, headers, body: method === "GET" ? undefined : body });
      if ((answer.status !== 429 && answer.status !== 503) || attempt === 5) return answer;
      wait = Number(answer.headers.get("Retry-After") ?? wait);
    } catch (error) {
      if (attempt === 5) throw error;
    }
    await sleep(wait * 1000);
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [method, url] = process.argv.slice(2);
  const secret = process.env.INBOUND_SECRET;
  if (secret === undefined || url === undefined) {
    console.error("INBOUND_SECRET=... node inbound.mjs POST|GET <url> < body");
    process.exit(2);
  }
  const answer = await call(secret, method, url, method === "GET" ? "" : readFileSync(0));
  console.log(`${answer.status}\n${await answer.text()}`);
  process.exitCode = answer.ok ? 0 : 1;
}
