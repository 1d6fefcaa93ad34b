/** Stands for the task service's own client: who is signed in, of which groups, and a fresh token when one is asked for. */
export type Session = { taskwire: string; groups: { id: string; name: string }[] };

export const load = async (): Promise<Session> => (await fetch("/session")).json();

export const getToken = async () => (await fetch("/token", { method: "POST" })).text();
