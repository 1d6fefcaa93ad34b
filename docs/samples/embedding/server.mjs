// Stands for the task service: serves the built application, says who is signed in, and issues tokens as the service does.
//
//   TASKWIRE_URL         where taskwire-api is            http://127.0.0.1:8080
//   TASKWIRE_JWT_SECRET  as taskwire-api has it           (required)
//   SAMPLE_USER          the id of a user                 (required)
//   SAMPLE_GROUPS        id=name,id=name: groups that the user administers (required)
//   SAMPLE_PORT          0 is any free one                3000
//   SAMPLE_TOKEN_SECONDS how long a token is good         3600
//
// A stand-in: whoever opens it is signed in as that user. Not for any other use.
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const need = (name) => {
  const value = process.env[name];
  if (value) return value;
  console.error(`${name} is missing; see the top of server.mjs`);
  process.exit(2);
};
const taskwire = process.env.TASKWIRE_URL ?? "http://127.0.0.1:8080";
const secret = need("TASKWIRE_JWT_SECRET");
const user = need("SAMPLE_USER");
const groups = need("SAMPLE_GROUPS")
  .split(",")
  .map((pair) => pair.split("="))
  .map(([id, name = id]) => ({ id, name }));
const seconds = Number(process.env.SAMPLE_TOKEN_SECONDS ?? 3600);

function token() {
  const now = Math.floor(Date.now() / 1000);
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const times = { iat: now, nbf: now, exp: now + seconds };
  const claims = { sub: user, iss: "TasksTrackerApi", aud: "TasksTrackerClients", ...times };
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const DIST = join(import.meta.dirname, "dist");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css" };

async function answer(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname === "/session") return response.end(JSON.stringify({ taskwire, groups }));
  if (pathname === "/token" && request.method === "POST") return response.end(token());
  const name = pathname === "/" ? "index.html" : normalize(pathname);
  const file = await readFile(join(DIST, name)).catch(() => null);
  if (file === null) return response.writeHead(404).end("There is nothing here. Built? npm run build\n");
  response.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream" }).end(file);
}

const server = createServer((request, response) => void answer(request, response));
server.listen(Number(process.env.SAMPLE_PORT ?? 3000), "127.0.0.1", () =>
  console.log(`http://localhost:${server.address().port}`),
);
