import { HttpResponse, http, type JsonBodyType } from "msw";
import { setupServer } from "msw/node";
import { GROUP } from "./things";

export const ROOT = "*/api/integrations";

/**
 * The API as a test has it; what a test does not answer fails it. Every page asks for the reader's groups: by itself one.
 * A webhook's page asks for what runs on it: nothing.
 */
export const server = setupServer(
  http.get(`${ROOT}/groups`, () => HttpResponse.json({ items: [{ id: GROUP, name: "Household" }], nextCursor: null })),
  http.get(`${ROOT}/webhooks/:id/replays`, () => HttpResponse.json({ items: [], nextCursor: null })),
);

export type Call = { method: string; path: string; body: unknown; headers: Headers };

/** Answers this call with this JSON, and notes each call. */
export function answer(
  method: "get" | "post" | "put" | "delete",
  path: string,
  reply: (call: Call) => JsonBodyType | Response | Promise<JsonBodyType | Response>,
) {
  const calls: Call[] = [];
  server.use(
    http[method](`${ROOT}${path}`, async ({ request }) => {
      const text = await request.text();
      const url = new URL(request.url);
      const call = {
        method,
        path: url.pathname.replace("/api/integrations", "") + url.search,
        body: text ? JSON.parse(text) : undefined,
        headers: request.headers,
      };
      calls.push(call);
      const made = await reply(call);
      return made instanceof Response ? made : HttpResponse.json(made);
    }),
  );
  return calls;
}

export const problem = (
  status: number,
  title: string,
  detail: string,
  errors: { field: string; message: string }[] = [],
) =>
  HttpResponse.json(
    { type: "urn:taskwire:problem:test", title, status, detail, errors },
    { status, headers: { "content-type": "application/problem+json" } },
  );
