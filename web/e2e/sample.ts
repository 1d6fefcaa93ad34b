import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { JWT_SECRET, type Stack } from "./stack";

const FOLDER = resolve(import.meta.dirname, "../../docs/samples/embedding");

/** Whether `npm run build` has been run in the sample's folder. */
export const isBuilt = () => existsSync(join(FOLDER, "dist/index.html"));

/** The sample application of the docs, with its own server: another origin than Taskwire's. */
export class Sample {
  private constructor(
    private readonly server: ChildProcess,
    readonly url: string,
  ) {}

  static async start(stack: Stack, port: number, groups: string): Promise<Sample> {
    const server = spawn(process.execPath, ["server.mjs"], {
      cwd: FOLDER,
      env: {
        TASKWIRE_URL: stack.url,
        TASKWIRE_JWT_SECRET: JWT_SECRET,
        SAMPLE_USER: stack.service.admin,
        SAMPLE_GROUPS: groups,
        SAMPLE_PORT: String(port),
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const url = await new Promise<string>((ready, failed) => {
      server.stdout?.once("data", (line) => ready(String(line).trim()));
      server.once("exit", (code) => failed(new Error(`the sample's server ended with ${code}`)));
    });
    return new Sample(server, url);
  }

  stop() {
    this.server.removeAllListeners("exit");
    this.server.kill();
  }
}
