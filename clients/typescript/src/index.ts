/**
 * A typed client of the Omnirapeutic API. What can be asked and answered comes from
 * the OpenAPI document (`schema.ts` is generated); this file adds the access token,
 * safe repetition, problems by their codes, and live events.
 *
 * @packageDocumentation
 */
import createFetchClient, { type Client as FetchClient } from "openapi-fetch";
import type { components, paths, webhooks } from "./schema.js";

export type * from "./schema.js";

type Schemas = components["schemas"];

/** Any refusal of the API (RFC 9457); `code` tells which, and narrows to its numbers. */
export type ProblemDocument = Extract<Schemas[keyof Schemas], { code: string; requestId: string }>;

/** The stable codes of refusals. */
export type ProblemCode = ProblemDocument["code"];

/**
 * Tells whether something is the refusal with this code, and narrows it.
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

/** For which records a permission is held. */
export type Scope = Schemas["SetGrantInput"]["scopes"][number];

/**
 * Tells whether somebody who has signed in holds a permission, for any records or for those of
 * a scope: to offer what will work. The API decides all the same.
 *
 * @param user - of a sign-in, or of `GET /auth/me`
 * @example
 * if (may(user, "appointment:start", "SELF")) showStartButton();
 */
export function may(user: { scopes: Record<string, string[]> }, permission: string, scope?: Scope): boolean {
  const held = Object.hasOwn(user.scopes, permission) ? user.scopes[permission] : undefined;
  return held !== undefined && (scope === undefined || held.includes("ORGANIZATION") || held.includes(scope));
}

/** A refusal as an exception, where there is no other way to tell of it. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  /** @param problem - what the server answered */
  constructor(readonly problem: ProblemDocument) {
    super(`${problem.detail || problem.title} (${problem.code}, request ${problem.requestId})`);
  }
}

/** How to reach the API. */
export interface Options {
  /** Where the API begins, such as `https://practice.example.org/api/v1`. */
  baseUrl: string;
  /** Gives the access token, before each request; `undefined` where nobody is signed in. */
  token?: () => string | undefined | Promise<string | undefined>;
  /** How often a request is sent at most, where repeating it is safe; 3 unless given. */
  attempts?: number;
  /** Makes Idempotency-Keys. `crypto.randomUUID` unless given: browsers have it on https pages, Node.js from version 20 on. */
  newKey?: () => string;
  /** Sends requests; the platform's `fetch` unless given. */
  fetch?: (request: Request) => Promise<Response>;
}

/** The body of a request to a webhook. */
export type WebhookEvent = webhooks[keyof webhooks]["post"]["requestBody"]["content"]["application/json"];

/** An event of the organization, in streams and for webhooks. */
export type OrganizationEvent = Exclude<WebhookEvent, { type: "webhook.test" }>;

/**
 * What a stream tells: an event, or where it stands. `ready` comes first with each
 * connection: everything after its `id` will be told. `reset` comes instead where what
 * was missed is no longer known: read afresh what you show.
 */
export type LiveEvent = OrganizationEvent | { type: "ready" | "reset"; id: number };

/** What to listen to. */
export interface Listening {
  /** Only these types of events; all of them unless given. */
  types?: OrganizationEvent["type"][];
  /** The `id` of the last event that is known already. */
  lastEventId?: number;
  /** Ends the stream. */
  signal?: AbortSignal;
  /** After how many milliseconds without a sign of life to connect again; 45,000 unless given. */
  silence?: number;
}

/** Calls of the API by method and path, and its live events. */
export interface Client extends FetchClient<paths> {
  /**
   * Listens until `signal` is aborted or the loop is left. Lost connections are made
   * anew, with a fresh token, and go on where they were: nothing is lost or told twice.
   *
   * @throws {@link ProblemError} where the server refuses, as with a token that is over.
   */
  events(listening?: Listening): AsyncGenerator<LiveEvent, void, undefined>;
}

/**
 * Makes a client. Every request carries the access token; every POST an Idempotency-Key,
 * unless it is given in `params.header`. What may be repeated (GET, and POST with its key)
 * is, after a broken connection or where the server asks for it with `Retry-After`: it
 * takes effect once.
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

/** Sends a request, and again where that is safe and may help. */
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

/** Waits about so long, not all clients the same; shorter where the signal is aborted. */
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
        refused = isProblemDocument(error) ? new ProblemError(error) : new Error(`no stream of events: ${response.status} from ${response.url}`);
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

/** One message of a stream; what only keeps it alive has an `id` and no data. */
interface Message {
  id?: number;
  event?: string;
  data?: string;
}

/** Reads server-sent events, in the form in which this server writes them: one line of data, ends of lines LF. */
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
