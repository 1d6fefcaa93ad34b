import { session } from "../session/session";
import { connection } from "./connection";
import { Problem, SignedOut, Unreachable } from "./problem";

async function send(request: Request, token: string): Promise<Response> {
  const signed = new Request(request, { cache: "no-store" });
  signed.headers.set("Authorization", `Bearer ${token}`);
  try {
    const response = await fetch(signed);
    if (isSilent(response) && !isProblem(response)) throw new Unreachable();
    if (response.ok) session.take(token);
    connection.set(!isSilent(response));
    return response;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    connection.set(false);
    throw new Unreachable();
  }
}

/** From a proxy: the server behind it does not answer. From the server: what it needs itself, its database, does not. */
const isSilent = ({ status }: Response) => status >= 502 && status <= 504;
const isProblem = ({ headers }: Response) => headers.get("content-type")?.includes("json");

/** Sends with the session's token; where that ran out, waits for a new one and sends again. Throws what is no success. */
export async function authorizedFetch(request: Request): Promise<Response> {
  const { token } = session.get();
  if (!token) throw new SignedOut();
  const again = request.clone();
  let response = await send(request, token);
  if (response.status === 401) response = await send(again, await session.renew(token));
  if (!response.ok) throw await Problem.of(response);
  return response;
}
