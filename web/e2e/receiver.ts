import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

export type Received = {
  path: string;
  event: string;
  taskName: string;
  verified: boolean;
  signatures: number;
  /** As a log shows them, a line each. */
  headers: string;
  body: string;
};

/** A partner's receiver: verifies with an independent library, and answers what it is told to. */
export class Receiver {
  readonly received: Received[] = [];
  private readonly secrets = new Map<string, string>();
  private readonly answers = new Map<string, { status: number; body: string }>();

  private constructor(private readonly server: Server) {}

  static async listen(): Promise<Receiver> {
    const server = createServer();
    const receiver = new Receiver(server);
    server.on("request", async (request, response) => {
      const path = request.url ?? "/";
      const body = await bodyOf(request);
      receiver.take(path, request, body);
      const answer = receiver.answers.get(path) ?? { status: 200, body: "" };
      response.writeHead(answer.status).end(answer.body);
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    return receiver;
  }

  url = (path: string) => `http://127.0.0.1:${(this.server.address() as AddressInfo).port}${path}`;
  trust = (path: string, secret: string) => this.secrets.set(path, secret);
  answer = (path: string, status: number, body = "") => this.answers.set(path, { status, body });
  at = (path: string) => this.received.filter((one) => one.path === path);

  private take(path: string, request: IncomingMessage, body: string) {
    const parsed = JSON.parse(body);
    this.received.push({
      path,
      event: parsed.event,
      taskName: parsed.data?.name ?? "",
      verified: this.verifies(path, request, body),
      signatures: String(request.headers["x-signature"]).split(",").length,
      headers: Object.entries(request.headers)
        .map(([name, value]) => `${name}: ${value}`)
        .join("\n"),
      body,
    });
  }

  private verifies(path: string, request: IncomingMessage, body: string): boolean {
    const secret = this.secrets.get(path);
    if (!secret) return false;
    try {
      new Webhook(secret).verify(body, request.headers as Record<string, string>);
      return true;
    } catch {
      return false;
    }
  }

  close = () =>
    new Promise<void>((closed) => {
      this.server.closeAllConnections();
      this.server.close(() => closed());
    });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}
