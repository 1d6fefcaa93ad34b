export type FieldFault = { field: string; message: string };

/** An answer that is no success: RFC 9457 problem details, or what is known where the answer is none. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly faults: FieldFault[] = [],
    readonly requestId: string | null = null,
    readonly type: string | null = null,
  ) {
    super(detail || title);
    this.name = "Problem";
  }

  static async of(response: Response): Promise<Problem> {
    const requestId = response.headers.get("x-request-id");
    try {
      const body = await response.json();
      return new Problem(
        response.status,
        String(body.title ?? ""),
        String(body.detail ?? ""),
        Array.isArray(body.errors) ? body.errors : [],
        requestId,
        typeof body.type === "string" ? body.type : null,
      );
    } catch {
      return new Problem(response.status, `HTTP ${response.status}`, "", [], requestId);
    }
  }
}

/** The server could not be reached at all. */
export class Unreachable extends Error {
  constructor() {
    super("the server does not answer");
    this.name = "Unreachable";
  }
}

/** Nobody is signed in, and nobody wants to be. */
export class SignedOut extends Error {
  constructor() {
    super("signed out");
    this.name = "SignedOut";
  }
}

export const isStatus = (error: unknown, status: number): error is Problem =>
  error instanceof Problem && error.status === status;
