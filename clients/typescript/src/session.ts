import createFetchClient from "openapi-fetch";
import { isProblemDocument, type Answer, type ProblemDocument } from "./problem.js";
import { pause, persist, type Fetch, type RetryOptions } from "./retry.js";
import type { components, operations, paths } from "./schema.js";

type SignIn = components["schemas"]["SignIn"];

/** The tokens of a sign-in, as a store keeps them. Times are milliseconds since 1970 of this device's clock. */
export interface Tokens {
  accessToken: string;
  refreshToken: string;
  /** The time from which the session refreshes the access token, some seconds before it expires. */
  refreshAt: number;
  /** The time at which the access token expires. */
  expiresAt: number;
}

/** Keeps the tokens of a session. A store that all tabs share, such as {@link webStore}, signs in all tabs. */
export interface TokenStore {
  get(): Tokens | undefined | Promise<Tokens | undefined>;
  set(tokens: Tokens | undefined): void | Promise<void>;
}

/** Returns a store in memory. A reload of the page ends the session. */
export function memoryStore(): TokenStore {
  let tokens: Tokens | undefined;
  return { get: () => tokens, set: (next) => void (tokens = next) };
}

/**
 * Returns a store in `localStorage` (all tabs, until the sign-out) or `sessionStorage` (one tab).
 * Scripts of the page can read it: use it only with a strict Content-Security-Policy.
 */
export function webStore(
  storage: Pick<Storage, "getItem" | "setItem" | "removeItem">,
  key = "omnirapeutic",
): TokenStore {
  return {
    get() {
      const text = storage.getItem(key);
      return text === null ? undefined : (JSON.parse(text) as Tokens);
    },
    set: (tokens) => (tokens ? storage.setItem(key, JSON.stringify(tokens)) : storage.removeItem(key)),
  };
}

/** The settings of a session. */
export interface SessionOptions extends RetryOptions {
  /** The base URL of the API, such as `https://practice.example.org/api/v1`. */
  baseUrl: string;
  /** Keeps the tokens. Default: in memory. */
  store?: TokenStore;
  /** The name that sessions with the same store share. Default: `omnirapeutic`. */
  name?: string;
  /**
   * Is called when the sign-in starts or ends, in this tab or, with a shared store, in another one. `reason` is the
   * server's refusal.
   */
  onChange?: (signedIn: boolean, reason?: ProblemDocument) => void;
  /** Sends requests. Default: the platform's `fetch`. */
  fetch?: Fetch;
  /** Serializes refreshes of all tabs. Default: `navigator.locks`, if the platform has it. */
  locks?: Pick<LockManager, "request">;
}

/** A sign-in that refreshes its access token. */
export interface Session {
  /** Signs in. The answer is that of `POST /auth/login`; `second-factor-required` and others come as `error`. */
  signIn(
    body: operations["signIn"]["requestBody"]["content"]["application/json"],
  ): Promise<Answer<SignIn> & { error?: ProblemDocument }>;
  /** Continues with the answer of another operation that signs in, such as an identity provider or an invitation. */
  start(signIn: Pick<SignIn, "accessToken" | "expiresIn" | "refreshToken">): Promise<void>;
  /** Ends the sign-in at the server and removes the tokens, even if the server cannot be reached. */
  signOut(): Promise<void>;
  /** Reports whether there are tokens. */
  signedIn(): Promise<boolean>;
  /**
   * Returns a valid access token; `undefined` if no user is signed in. `rejected` is a token that the server
   * refused: the session then refreshes it. Pass this function as `token` of a client.
   */
  token(rejected?: string): Promise<string | undefined>;
  /** Stops listening to other tabs. */
  close(): void;
}

/**
 * Creates a session. Concurrent requests share one refresh. Tabs with a shared store take turns with a Web Lock,
 * and the second one finds the tokens of the first. Where the platform has no locks (pages without https), two
 * tabs may refresh at once: the server then returns the same tokens to both, within 30 seconds.
 */
export function createSession(options: SessionOptions): Session {
  const { store = memoryStore(), name = "omnirapeutic", fetch = globalThis.fetch, onChange } = options;
  const locks = options.locks ?? (globalThis.navigator as Navigator | undefined)?.locks;
  const tabs = new Announcements(name, options.store !== undefined, async () =>
    onChange?.((await store.get()) !== undefined),
  );
  const api = createFetchClient<paths>({ baseUrl: options.baseUrl, fetch });
  // A repeated refresh gets the same tokens, so it is as safe to retry as a GET.
  const retried = (request: Request): Promise<Response> => persist(request, fetch, { ...options, safe: true });

  async function save(signIn: Pick<SignIn, "accessToken" | "expiresIn" | "refreshToken">): Promise<void> {
    const { accessToken, refreshToken, expiresIn } = signIn;
    const early = Math.min(30, expiresIn / 4);
    await store.set({
      accessToken,
      refreshToken,
      refreshAt: Date.now() + (expiresIn - early) * 1000,
      expiresAt: Date.now() + expiresIn * 1000,
    });
  }

  async function end(reason?: ProblemDocument): Promise<void> {
    if ((await store.get()) === undefined) return;
    await store.set(undefined);
    tabs.announce();
    onChange?.(false, reason);
  }

  /** Refreshes the tokens, unless another tab did while this one waited for the lock. */
  async function refresh(stale: string): Promise<string | undefined> {
    const tokens = await store.get();
    if (!tokens || tokens.accessToken !== stale) return tokens?.accessToken;
    const { data, error, response } = await api.POST("/auth/refresh", {
      body: { refreshToken: tokens.refreshToken },
      fetch: retried,
    });
    const latest = await store.get();
    if (latest?.refreshToken !== tokens.refreshToken) return latest?.accessToken; // signed out, or in again, meanwhile
    if (data) {
      await save(data);
      return data.accessToken;
    }
    const reason = isProblemDocument(error) ? error : undefined;
    if (response.status === 401 || response.status === 403) await end(reason);
    else throw new Error(`the access token cannot be refreshed: ${response.status} ${reason?.code ?? ""}`);
    return undefined;
  }

  let refreshing: Promise<string | undefined> | undefined;
  function refreshOnce(stale: string): Promise<string | undefined> {
    const alone = async (): Promise<string | undefined> =>
      locks ? locks.request(`${name}.refresh`, () => refresh(stale)) : refresh(stale);
    refreshing ??= alone().finally(() => (refreshing = undefined));
    return refreshing;
  }

  async function token(rejected?: string): Promise<string | undefined> {
    const tokens = await store.get();
    if (!tokens) return undefined;
    if (tokens.accessToken === rejected) return refreshOnce(tokens.accessToken);
    if (Date.now() < tokens.refreshAt) return tokens.accessToken;
    const next = refreshOnce(tokens.accessToken);
    if (Date.now() >= tokens.expiresAt) return next;
    // The token is still valid: a slow or unreachable server does not delay or fail this request.
    return Promise.race([next.catch(() => tokens.accessToken), pause(2).then(() => tokens.accessToken)]);
  }

  async function start(signIn: Pick<SignIn, "accessToken" | "expiresIn" | "refreshToken">): Promise<void> {
    await save(signIn);
    tabs.announce();
    onChange?.(true);
  }

  return {
    async signIn(body) {
      const answer = await api.POST("/auth/login", { body });
      if (answer.data) await start(answer.data);
      return answer as Answer<SignIn> & { error?: ProblemDocument };
    },
    start,
    async signOut() {
      const tokens = await store.get();
      await end();
      if (tokens)
        await api
          .POST("/auth/logout", { headers: { Authorization: `Bearer ${tokens.accessToken}` } })
          .catch(() => undefined);
    },
    signedIn: async () => (await store.get()) !== undefined,
    token,
    close: () => tabs.close(),
  };
}

/** Announces changes of a shared store to other tabs. No tokens pass through the channel. */
class Announcements {
  private readonly channel: BroadcastChannel | undefined;

  constructor(name: string, shared: boolean, onChange: () => void) {
    if (!shared || typeof BroadcastChannel === "undefined") return;
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = onChange;
    (this.channel as { unref?: () => void }).unref?.(); // in Node.js, a channel would keep the process running
  }

  announce(): void {
    this.channel?.postMessage("changed");
  }

  close(): void {
    this.channel?.close();
  }
}
