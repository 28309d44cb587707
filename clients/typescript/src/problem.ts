import type { components } from "./schema.js";

type Schemas = components["schemas"];

/** Any error of the API (RFC 9457). `code` identifies it and narrows the type to its members. */
export type ProblemDocument = Extract<Schemas[Exclude<keyof Schemas, "Problem">], { code: string; requestId: string }>;

/** The stable codes of errors. */
export type ProblemCode = ProblemDocument["code"];

/** The stable codes of reasons. */
export type ReasonCode = Schemas["Reason"]["code"];

/** The exact values of a reason with this code. */
export type ReasonDetails<C extends ReasonCode> = Extract<Schemas["Reason"], { code: C }>["details"];

/**
 * Reports whether the value is the error with this code, and narrows its type.
 *
 * @example
 * if (isProblem(error, "insufficient-units")) console.log(`only ${error.available} left`);
 */
export function isProblem<C extends ProblemCode>(
  error: unknown,
  code: C,
): error is Extract<ProblemDocument, { code: C }> {
  return isProblemDocument(error) && error.code === code;
}

/** Reports whether the value is an error of the API. */
export function isProblemDocument(error: unknown): error is ProblemDocument {
  return typeof error === "object" && error !== null && "code" in error && "requestId" in error;
}

/**
 * A function for each code, and one for all other codes. A newer server may send a code that this client does
 * not know.
 */
export type Cases<V extends { code: string }, T> = { [C in V["code"]]?: (value: Extract<V, { code: C }>) => T } & {
  otherwise: (value: V) => T;
};

/**
 * Calls the function for the code of an error or a reason. The function gets the value with its exact type.
 *
 * @example
 * const text = match(reason, {
 *   "insufficient-units": ({ details }) => `${details.available} units are left`,
 *   "practitioner-overlap": ({ details }) => `overlaps ${details.appointmentId}`,
 *   otherwise: ({ detail }) => detail,
 * });
 */
export function match<V extends { code: string }, T>(value: V, cases: Cases<V, T>): T {
  const known = cases as unknown as Record<string, ((value: V) => T) | undefined>;
  const handle = value.code !== "otherwise" && Object.hasOwn(known, value.code) ? known[value.code] : undefined;
  return (handle ?? cases.otherwise)(value);
}

/** An error of the API as an exception. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  /** @param problem - the answer of the server */
  constructor(readonly problem: ProblemDocument) {
    super(`${problem.detail || problem.title} (${problem.code}, request ${problem.requestId})`);
  }
}

/** The answer of a call, as openapi-fetch returns it. */
export interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/**
 * Returns the data of an answer.
 *
 * @throws {@link ProblemError} if the server refused the request.
 * @example
 * const patient = unwrap(await api.GET("/patients/{id}", { params: { path: { id } } }));
 */
export function unwrap<T>({ data, error, response }: Answer<T>): T {
  if (response.ok) return data as T;
  throw refusal(error, response);
}

/** Returns the exception for a refused request. */
export function refusal(error: unknown, response: Response): Error {
  return isProblemDocument(error)
    ? new ProblemError(error)
    : new Error(`unexpected answer ${response.status} of ${response.url}`);
}
