import createFetchClient, { type Client as FetchClient } from "openapi-fetch";
import { listen, type Listening, type LiveEvent } from "./events.js";
import { persist, type Fetch, type RetryOptions } from "./retry.js";
import type { paths } from "./schema.js";

/** The settings of a client. */
export interface Options extends RetryOptions {
  /** The base URL of the API, such as `https://practice.example.org/api/v1`. */
  baseUrl: string;
  /**
   * Returns the access token before each request; `undefined` if no user is signed in. Usually it is the `token`
   * of a session. `rejected` is the token that the server has just refused: the request is then repeated once
   * with the new token, if that is a different one.
   */
  token?: (rejected?: string) => string | undefined | Promise<string | undefined>;
  /**
   * Creates Idempotency-Keys. Default: `crypto.randomUUID`, which browsers have on https pages and Node.js from
   * version 20 on.
   */
  newKey?: () => string;
  /** The dated version of the API, such as `2027-01-15`. Default: that of the API key, or the oldest one. */
  apiVersion?: string;
  /** Sends requests. Default: the platform's `fetch`. */
  fetch?: Fetch;
}

/** Calls of the API by method and path, and its live events. */
export interface Client extends FetchClient<paths> {
  /**
   * Receives events until `signal` is aborted or the loop ends. It reconnects with a fresh
   * token and continues after the last event, so no event is lost or repeated.
   *
   * @throws {@link ProblemError} if the server refuses, for example because the sign-in has ended.
   */
  events(listening?: Listening): AsyncGenerator<LiveEvent, void, undefined>;
}

/**
 * Creates a client. Every request has the access token, and every POST an Idempotency-Key,
 * unless `params.header` has one. Requests that are safe to retry (GET, and POST with a key)
 * are retried after a broken connection, or if the server asks for it with `Retry-After`.
 * They take effect once.
 */
export function createClient(options: Options): Client {
  const { newKey = () => crypto.randomUUID(), fetch = globalThis.fetch } = options;

  async function send(request: Request): Promise<Response> {
    if (request.method === "POST" && !request.headers.has("Idempotency-Key"))
      request.headers.set("Idempotency-Key", newKey());
    if (options.apiVersion !== undefined) request.headers.set("API-Version", options.apiVersion);
    if (request.headers.has("Authorization")) return persist(request, fetch, options);
    const token = await options.token?.();
    if (token === undefined) return persist(request, fetch, options);
    request.headers.set("Authorization", `Bearer ${token}`);
    const response = await persist(request, fetch, options);
    if (!(await isRejectedToken(response))) return response;
    const next = await options.token?.(token);
    if (next === undefined || next === token) return response;
    await response.body?.cancel();
    request.headers.set("Authorization", `Bearer ${next}`);
    return persist(request, fetch, options);
  }

  const client = createFetchClient<paths>({ baseUrl: options.baseUrl, fetch: send });
  return Object.assign(client, { events: (listening?: Listening) => listen(client, listening) });
}

/** Reports whether the server refused the access token, and not, for example, a password. */
async function isRejectedToken(response: Response): Promise<boolean> {
  if (response.status !== 401) return false;
  const problem: unknown = await response
    .clone()
    .json()
    .catch(() => undefined);
  return typeof problem === "object" && problem !== null && "code" in problem && problem.code === "unauthenticated";
}
