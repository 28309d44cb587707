/**
 * A typed client of the Omnirapeutic API. The types of requests and answers come from
 * the OpenAPI document (`schema.ts` is generated). This file adds the access token,
 * safe retries, errors by their codes, and live events.
 *
 * @packageDocumentation
 */
import createFetchClient, { type Client as FetchClient } from "openapi-fetch";
import type { components, paths, webhooks } from "./schema.js";

export type * from "./schema.js";

type Schemas = components["schemas"];

/** Any error of the API (RFC 9457). `code` identifies it and narrows the type to its members. */
export type ProblemDocument = Extract<Schemas[Exclude<keyof Schemas, "Problem">], { code: string; requestId: string }>;

/** The stable codes of errors. */
export type ProblemCode = ProblemDocument["code"];

/**
 * Reports whether the value is the error with this code, and narrows its type.
 *
 * @example
 * if (isProblem(error, "insufficient-units")) console.log(`only ${error.available} left`);
 */
export function isProblem<C extends ProblemCode>(error: unknown, code: C): error is Extract<ProblemDocument, { code: C }> {
  return isProblemDocument(error) && error.code === code;
}

function isProblemDocument(error: unknown): error is ProblemDocument {
  return typeof error === "object" && error !== null && "code" in error && "requestId" in error;
}

/** The records for which a permission is held. */
export type Scope = Schemas["SetGrantInput"]["scopes"][number];

/**
 * Reports whether the signed-in user holds a permission, for any records or with a scope.
 * Use it to offer only actions that will work. The API checks permissions in any case.
 *
 * @param user - the user of a sign-in, or of `GET /auth/me`
 * @example
 * if (may(user, "appointment:start", "SELF")) showStartButton();
 */
export function may(user: { scopes: Record<string, string[]> }, permission: string, scope?: Scope): boolean {
  const held = Object.hasOwn(user.scopes, permission) ? user.scopes[permission] : undefined;
  return held !== undefined && (scope === undefined || held.includes("ORGANIZATION") || held.includes(scope));
}

/** An error of the API as an exception. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  /** @param problem - the answer of the server */
  constructor(readonly problem: ProblemDocument) {
    super(`${problem.detail || problem.title} (${problem.code}, request ${problem.requestId})`);
  }
}

/** The settings of a client. */
export interface Options {
  /** The base URL of the API, such as `https://practice.example.org/api/v1`. */
  baseUrl: string;
  /** Returns the access token before each request; `undefined` if no user is signed in. */
  token?: () => string | undefined | Promise<string | undefined>;
  /** The maximum number of attempts for requests that are safe to retry. Default: 3. */
  attempts?: number;
  /** Creates Idempotency-Keys. Default: `crypto.randomUUID`, which browsers have on https pages and Node.js from version 20 on. */
  newKey?: () => string;
  /** Sends requests. Default: the platform's `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
}

/** The body of a request to a webhook. */
export type WebhookEvent = webhooks[keyof webhooks]["post"]["requestBody"]["content"]["application/json"];

/** An event of the organization, in streams and for webhooks. */
export type OrganizationEvent = Exclude<WebhookEvent, { type: "webhook.test" }>;

/**
 * A message of a stream: an event, or the position of the stream. `ready` comes first on
 * each connection: all events after its `id` follow. `reset` comes instead if missed
 * events are no longer kept: load the displayed data again.
 */
export type LiveEvent = OrganizationEvent | { type: "ready" | "reset"; id: number };

/** The options of a stream. */
export interface Listening {
  /** The types of events to receive. Default: all. */
  types?: OrganizationEvent["type"][];
  /** The `id` of the last received event. */
  lastEventId?: number;
  /** Ends the stream. */
  signal?: AbortSignal;
  /** The milliseconds without a message after which the client reconnects. Default: 45,000. */
  silence?: number;
}

/** Calls of the API by method and path, and its live events. */
export interface Client extends FetchClient<paths> {
  /**
   * Receives events until `signal` is aborted or the loop ends. It reconnects with a fresh
   * token and continues after the last event, so no event is lost or repeated.
   *
   * @throws {@link ProblemError} if the server refuses, for example because a token has expired.
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
  const { newKey = () => crypto.randomUUID(), attempts = 3, fetch = globalThis.fetch } = options;
  const client = createFetchClient<paths>({ baseUrl: options.baseUrl, fetch: (request) => persist(request, fetch, attempts) });
  client.use({
    async onRequest({ request }) {
      const token = await options.token?.();
      if (token !== undefined) request.headers.set("Authorization", `Bearer ${token}`);
      if (request.method === "POST" && !request.headers.has("Idempotency-Key")) request.headers.set("Idempotency-Key", newKey());
      return request;
    },
  });
  return Object.assign(client, { events: (listening?: Listening) => listen(client, listening) });
}

/** Sends a request, and retries it if that is safe and may help. */
async function persist(request: Request, fetch: (request: Request) => Promise<Response>, attempts: number): Promise<Response> {
  const safe = request.method === "GET" || request.headers.has("Idempotency-Key");
  for (let attempt = 1; safe && attempt < attempts; attempt++) {
    let seconds = 2 ** (attempt - 1);
    try {
      const response = await fetch(request.clone());
      const after = Number(response.headers.get("Retry-After") ?? NaN);
      if (response.status < 500 || !(after <= 10)) return response;
      await response.body?.cancel();
      seconds = Math.max(after, 0.1);
    } catch (failure) {
      if (request.signal.aborted) throw failure;
    }
    await pause(seconds, request.signal);
  }
  return fetch(request);
}

/** Waits about this long, with jitter; shorter if the signal is aborted. */
function pause(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, seconds * 1000 * (1 + Math.random() / 4));
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}

async function* listen(client: FetchClient<paths>, listening: Listening = {}): AsyncGenerator<LiveEvent, void, undefined> {
  const { types, signal, silence = 45_000 } = listening;
  let last = listening.lastEventId;
  for (let failures = 0; !signal?.aborted; failures++) {
    const connection = new AbortController();
    const end = (): void => connection.abort();
    let watch = setTimeout(end, silence);
    let refused: Error | undefined;
    signal?.addEventListener("abort", end);
    try {
      const params = { query: { types }, header: { "Last-Event-ID": last } };
      const { data, error, response } = await client.GET("/events", { params, parseAs: "stream", signal: connection.signal });
      if (!response.ok && response.status < 500 && response.status !== 429) {
        refused = isProblemDocument(error) ? new ProblemError(error) : new Error(`the stream of events failed: ${response.status} from ${response.url}`);
        throw refused;
      }
      const heard = (): void => {
        failures = 0;
        clearTimeout(watch);
        watch = setTimeout(end, silence);
      };
      for await (const message of data ? messages(data, heard) : []) {
        last = message.id ?? last;
        if (message.data) yield { type: message.event, ...JSON.parse(message.data) } as LiveEvent;
      }
    } catch (failure) {
      if (failure === refused) throw failure;
    } finally {
      clearTimeout(watch);
      signal?.removeEventListener("abort", end);
      end();
    }
    await pause(Math.min(2 ** failures / 2, 30), signal);
  }
}

/** One message of a stream. A keep-alive has an `id` and no data. */
interface Message {
  id?: number;
  event?: string;
  data?: string;
}

/** Reads server-sent events as this server writes them: one line of data, lines end with LF. */
async function* messages(stream: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<Message, void, undefined> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let text = "";
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    heard();
    const blocks = (text + decoder.decode(chunk.value, { stream: true })).split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const field = (name: string): string | undefined => block.match(new RegExp(`^${name}: ?(.*)$`, "m"))?.[1];
      const id = field("id");
      yield { id: id === undefined ? undefined : Number(id), event: field("event"), data: field("data") };
    }
  }
}
