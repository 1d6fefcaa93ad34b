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
    /** In so many seconds it may be tried again. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail || title);
    this.name = "Problem";
  }

  static async of(response: Response): Promise<Problem> {
    const requestId = response.headers.get("x-request-id");
    const seconds = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
    try {
      const body = await response.json();
      return new Problem(
        response.status,
        String(body.title ?? ""),
        String(body.detail ?? ""),
        Array.isArray(body.errors) ? body.errors : [],
        requestId,
        typeof body.type === "string" ? body.type : null,
        Number.isNaN(seconds) ? null : seconds,
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

/** The server has another version of this page, and no longer the scripts of this one. */
export class NewVersion extends Error {
  constructor() {
    super("there is a new version of this page");
    this.name = "NewVersion";
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
