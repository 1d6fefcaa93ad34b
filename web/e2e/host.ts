import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

/** The snippet, as docs/EMBEDDING.md gives it to others. */
export function snippet(origin: string): string {
  const docs = readFileSync(join(import.meta.dirname, "../../docs/EMBEDDING.md"), "utf8");
  const found = /<!-- snippet -->\s*```html\n([\s\S]*?)```/.exec(docs)?.[1];
  if (!found) throw new Error("docs/EMBEDDING.md has no snippet");
  if (found.trimEnd().split("\n").length > 11) throw new Error("the snippet has grown");
  return found.replace("https://taskwire.example.com", origin);
}

export type HostState = { token: () => string; groupId: string; locale: string; theme: string; taskwire: string };

/** A page of the task service's kind: other origin, a tab with the frame. */
export class Host {
  asked = 0;
  private constructor(private readonly server: Server) {}

  static async listen(state: HostState): Promise<Host> {
    const server = createServer();
    const host = new Host(server);
    server.on("request", (request, response) => {
      if (request.url === "/token") {
        host.asked += 1;
        response.end(state.token());
        return;
      }
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      response.end(page(state));
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    return host;
  }

  get origin() {
    return `http://localhost:${(this.server.address() as AddressInfo).port}`;
  }

  close = () =>
    new Promise<void>((closed) => {
      this.server.closeAllConnections();
      this.server.close(() => closed());
    });
}

const page = ({ groupId, locale, theme, taskwire }: HostState) => `<!doctype html>
<html lang="en">
  <head>
    <title>TasksTracker</title>
    <style>
      body { margin: 0; font: 16px system-ui, sans-serif; background: #eef2f7; }
      header { background: #1e3a8a; color: #fff; padding: 14px 24px; display: flex; gap: 24px; }
      main { max-width: 1180px; margin: 24px auto; background: #fff; border-radius: 12px; overflow: hidden; }
    </style>
    <script>
      const getToken = async () => (await fetch("/token")).text();
      const groupId = ${JSON.stringify(groupId)}, locale = ${JSON.stringify(locale)}, theme = ${JSON.stringify(theme)};
    </script>
  </head>
  <body>
    <header><strong>TasksTracker</strong><span>Tasks</span><span>Members</span><span><u>Integrations</u></span></header>
    <main>${snippet(taskwire)}</main>
  </body>
</html>`;
