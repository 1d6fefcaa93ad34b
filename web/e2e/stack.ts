import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { createWriteStream, mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { MongoClient } from "mongodb";
import { Receiver } from "./receiver";
import { TaskService } from "./service";

const ROOT = resolve(import.meta.dirname, "../..");
export const JWT_SECRET = "taskwire-test-signing-key-of-the-task-service";

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((ready) => server.once("listening", ready));
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A token as the task service issues it. */
export function tokenFor(user: string, seconds = 3600): string {
  const now = Math.floor(Date.now() / 1000);
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = {
    sub: user,
    iss: "TasksTrackerApi",
    aud: "TasksTrackerClients",
    iat: now - 5,
    nbf: now - 5,
    exp: now + seconds,
  };
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", JWT_SECRET).update(signed).digest("base64url")}`;
}

/** Asks until it is so, or says what was the case at last. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  patience = 20_000,
): Promise<T> {
  const end = Date.now() + patience;
  let last: unknown;
  while (Date.now() < end) {
    try {
      const found = await ask();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      last = error;
    }
    await new Promise((later) => setTimeout(later, 50));
  }
  throw new Error(`${what}: not within ${patience} ms${last ? ` (${last})` : ""}`);
}

type Program = "taskwire-api" | "taskwire-indexer";
const LISTEN = { "taskwire-api": "TASKWIRE_API_LISTEN", "taskwire-indexer": "TASKWIRE_INDEXER_LISTEN" };

type Options = { frameAncestors?: string; port?: number };

/** MongoDB, a task service, both programs and a receiver. */
export class Stack {
  private readonly programs = new Map<Program, ChildProcess>();
  private constructor(
    readonly client: MongoClient,
    readonly service: TaskService,
    readonly receiver: Receiver,
    readonly url: string,
    private readonly settings: Record<string, string>,
    private readonly ownMongod: string | null,
  ) {}

  static async start({ frameAncestors, port: wanted }: Options = {}): Promise<Stack> {
    const own = process.env.TASKWIRE_TEST_MONGODB_URI === undefined ? ".cache/web-mongod" : null;
    const uri = own
      ? execFileSync("scripts/mongod", ["start", "--dir", own, "--port", String(await freePort())], { cwd: ROOT })
          .toString()
          .trim()
      : (process.env.TASKWIRE_TEST_MONGODB_URI ?? "");
    const client = await MongoClient.connect(uri);
    const name = `taskwire_web_${process.pid}_${randomBytes(3).toString("hex")}`;
    const service = await TaskService.create(client.db(name));
    const port = wanted ?? (await freePort());
    const settings = {
      TASKWIRE_MONGODB_URI: uri,
      TASKWIRE_DATABASE: name,
      TASKWIRE_MASTER_KEY: Buffer.from("taskwire-test-master-key-32-byte").toString("base64"),
      TASKWIRE_JWT_SECRET: JWT_SECRET,
      TASKWIRE_TARGET_ALLOWLIST: "127.0.0.0/8",
      TASKWIRE_ALLOW_HTTP_TARGETS: "true",
      TASKWIRE_API_LISTEN: `127.0.0.1:${port}`,
      TASKWIRE_INDEXER_LISTEN: `127.0.0.1:${await freePort()}`,
      TASKWIRE_KEEP_ERROR_BODY_BYTES: "200",
      TASKWIRE_FRAME_ANCESTORS: frameAncestors ?? "",
    };
    const stack = new Stack(client, service, await Receiver.listen(), `http://127.0.0.1:${port}`, settings, own);
    stack.run("taskwire-api");
    stack.run("taskwire-indexer");
    await Promise.all([stack.isReady("taskwire-api"), stack.isReady("taskwire-indexer")]);
    return stack;
  }

  private async isReady(program: Program) {
    const listen = this.settings[LISTEN[program]];
    await eventually(`${program} is ready`, async () => (await fetch(`http://${listen}/readyz`)).ok);
  }

  private run(program: Program) {
    const logs = join(ROOT, ".cache/web-logs");
    mkdirSync(logs, { recursive: true });
    const binaries = process.env.TASKWIRE_BIN_DIR ?? join(ROOT, "target/debug");
    const child = spawn(join(binaries, program), [], {
      env: { PATH: process.env.PATH, RUST_LOG: "info", ...this.settings },
      stdio: ["ignore", "ignore", "pipe"],
      cwd: logs,
    });
    child.stderr?.pipe(createWriteStream(join(logs, `${program}.log`), { flags: "a" }));
    this.programs.set(program, child);
  }

  /** Stops a program where it stands (SIGSTOP), or lets it go on (SIGCONT). */
  signal = (program: Program, signal: "SIGSTOP" | "SIGCONT") => this.programs.get(program)?.kill(signal);

  async kill(program: Program) {
    const child = this.programs.get(program);
    if (!child) return;
    const ended = new Promise((gone) => child.once("exit", gone));
    child.kill("SIGKILL");
    await ended;
  }

  async restart(program: Program) {
    this.run(program);
    await this.isReady(program);
  }

  token = (seconds?: number) => tokenFor(this.service.admin, seconds);

  /** A call of the API as the group's admin. */
  async api<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(`${this.url}/api/integrations${path}`, {
      method,
      headers: { Authorization: `Bearer ${this.token()}`, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? (undefined as T) : ((await answer.json()) as T);
  }

  async webhook(change: Record<string, unknown> = {}): Promise<{ id: string; secret: string }> {
    const all = ["taskCreated", "taskUpdated", "taskCompleted", "taskApproved", "taskRejected", "taskSwapped"];
    return this.api("POST", "/webhooks", {
      groupId: this.service.group,
      name: "Payroll",
      targetUrl: this.receiver.url("/hook"),
      events: Object.fromEntries(all.map((key) => [key, true])),
      ...change,
    });
  }

  async stop() {
    await Promise.all([...this.programs.keys()].map((program) => this.kill(program)));
    await this.receiver.close();
    await this.service.drop();
    await this.client.close();
    if (this.ownMongod) execFileSync("scripts/mongod", ["stop", "--dir", this.ownMongod, "--purge"], { cwd: ROOT });
  }
}
