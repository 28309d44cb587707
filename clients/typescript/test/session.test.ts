import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createClient,
  createSession,
  items,
  match,
  memoryStore,
  ProblemError,
  webStore,
  type Reason,
  type SessionOptions,
  type TokenStore,
} from "../src/index.js";

const json = (status: number, body: unknown, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers });
const signIn = (n: number, expiresIn = 60) => ({ accessToken: `access ${n}`, refreshToken: `refresh ${n}`, expiresIn });

/** A server whose refresh tokens work once, and that counts requests by path. */
function server({ expiresIn = 60, refuse = false, slow = 5 } = {}) {
  const seen: string[] = [];
  let current = 0;
  const fetch = async (request: Request): Promise<Response> => {
    const path = new URL(request.url).pathname;
    seen.push(path);
    await new Promise((resolve) => setTimeout(resolve, slow));
    if (path === "/auth/login") return json(200, signIn(current, expiresIn));
    if (path === "/auth/logout") return new Response(null, { status: 204 });
    if (path === "/auth/refresh") {
      const { refreshToken } = (await request.json()) as { refreshToken: string };
      if (refuse || refreshToken !== `refresh ${current}`)
        return json(401, { code: "refresh-refused", requestId: "r" });
      return json(200, signIn(++current, expiresIn));
    }
    if (request.headers.get("Authorization") !== `Bearer access ${current}`)
      return json(401, { code: "unauthenticated", requestId: "r" });
    return json(200, { data: [], nextCursor: null });
  };
  return { fetch, seen, revoke: () => void current++, count: (path: string) => seen.filter((p) => p === path).length };
}

/** Locks like those of a browser, for sessions of one process. */
function locks(): NonNullable<SessionOptions["locks"]> {
  let last: Promise<unknown> = Promise.resolve();
  return {
    request: (_: string, task: () => unknown) => (last = last.catch(() => undefined).then(task)),
  } as unknown as NonNullable<SessionOptions["locks"]>;
}

const credentials = { email: "a@b.test", password: "secret" };

test("concurrent requests share one refresh", async () => {
  const s = server({ expiresIn: 0 });
  const session = createSession({ baseUrl: "http://server.test", fetch: s.fetch });
  await session.signIn(credentials);
  const tokens = await Promise.all([session.token(), session.token(), session.token()]);
  assert.deepEqual(tokens, Array(3).fill("access 1"));
  assert.equal(s.count("/auth/refresh"), 1);
});

test("two tabs with a shared store take turns, and refresh once", async () => {
  const s = server();
  const shared = { baseUrl: "http://server.test", fetch: s.fetch, store: memoryStore(), locks: locks() };
  const [one, two] = [createSession(shared), createSession(shared)];
  await one.signIn(credentials);
  assert.deepEqual(await Promise.all([one.token("access 0"), two.token("access 0")]), ["access 1", "access 1"]);
  assert.equal(s.count("/auth/refresh"), 1);
  one.close();
  two.close();
});

test("a sign-out reaches other tabs", async () => {
  const s = server();
  const store = memoryStore();
  const one = createSession({ baseUrl: "http://server.test", fetch: s.fetch, store, name: "tabs" });
  await one.signIn(credentials);
  const told = new Promise<boolean>((resolve) => {
    const two = createSession({
      baseUrl: "http://server.test",
      store,
      name: "tabs",
      onChange: (signedIn) => {
        two.close();
        resolve(signedIn);
      },
    });
  });
  await one.signOut();
  assert.equal(await told, false);
  assert.equal(await one.signedIn(), false);
  assert.equal(s.count("/auth/logout"), 1);
  one.close();
});

test("a refused access token is refreshed, and the request is repeated once", async () => {
  const s = server();
  const session = createSession({ baseUrl: "http://server.test", fetch: s.fetch });
  await session.signIn(credentials);
  const tokens = ["access 9", "access 0"];
  const api = createClient({
    baseUrl: "http://server.test",
    fetch: s.fetch,
    token: (rejected) => (rejected === undefined ? tokens[0] : tokens[1]),
  });
  assert.equal((await api.GET("/patients")).response.status, 200);
  assert.equal(s.count("/patients"), 2);
  const stubborn = createClient({ baseUrl: "http://server.test", fetch: s.fetch, token: () => "access 9" });
  assert.equal((await stubborn.GET("/patients")).response.status, 401);
  assert.equal(s.count("/patients"), 3);
});

test("a refused refresh ends the session with the reason", async () => {
  const s = server({ refuse: true });
  const changes: unknown[] = [];
  const session = createSession({
    baseUrl: "http://server.test",
    fetch: s.fetch,
    onChange: (signedIn, reason) => changes.push([signedIn, reason?.code]),
  });
  await session.signIn(credentials);
  assert.equal(await session.token("access 0"), undefined);
  assert.deepEqual(changes, [
    [true, undefined],
    [false, "refresh-refused"],
  ]);
  assert.equal(await session.signedIn(), false);
});

test("a failed refresh keeps a token that is still valid", async () => {
  const store: TokenStore = memoryStore();
  await store.set({ accessToken: "old", refreshToken: "r", refreshAt: 0, expiresAt: Date.now() + 10_000 });
  const session = createSession({
    baseUrl: "http://server.test",
    store,
    attempts: 1,
    fetch: () => Promise.reject(new TypeError("offline")),
  });
  assert.equal(await session.token(), "old");
  await store.set({ accessToken: "old", refreshToken: "r", refreshAt: 0, expiresAt: 0 });
  await assert.rejects(session.token(), TypeError);
  assert.equal(await session.signedIn(), true, "the session outlives a broken connection");
  session.close();
});

test("a web store keeps tokens between pages", async () => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (k: string) => kept.get(k) ?? null,
    setItem: (k: string, v: string) => void kept.set(k, v),
    removeItem: (k: string) => void kept.delete(k),
  };
  const tokens = { accessToken: "a", refreshToken: "r", refreshAt: 1, expiresAt: 2 };
  await webStore(storage).set(tokens);
  assert.deepEqual(await webStore(storage).get(), tokens);
  await webStore(storage).set(undefined);
  assert.equal(await webStore(storage).get(), undefined);
});

test("429 is retried after the time that the server asks for, with the same key", async () => {
  const asked: [string | null, number][] = [];
  const answers = [
    json(429, { code: "rate-limited" }, { "Retry-After": "1" }),
    json(201, { reservation: { id: "r" } }),
  ];
  const fetch = async (r: Request): Promise<Response> => (
    asked.push([r.headers.get("Idempotency-Key"), Date.now()]),
    answers.shift()!
  );
  const api = createClient({ baseUrl: "http://server.test", newKey: () => `key ${asked.length}`, fetch });
  const { data } = await api.POST("/authorizations/{id}/reserve", {
    params: { path: { id: "a" } },
    body: { units: 1 },
  });
  assert.equal(data?.reservation.id, "r");
  assert.deepEqual(
    asked.map(([key]) => key),
    ["key 0", "key 0"],
  );
  assert(asked[1]![1] - asked[0]![1] >= 1000);
});

test("a longer wait is an error at once", async () => {
  const fetch = async (): Promise<Response> =>
    json(429, { code: "rate-limited", requestId: "r" }, { "Retry-After": "3600" });
  const { error } = await createClient({ baseUrl: "http://server.test", fetch }).GET("/patients");
  assert.equal(error?.code, "rate-limited");
});

test("a list is read page by page, and a refusal is thrown", async () => {
  const cursors: (string | null)[] = [];
  const fetch = async (r: Request): Promise<Response> => {
    const cursor = new URL(r.url).searchParams.get("cursor");
    cursors.push(cursor);
    if (cursor === "2") return json(400, { code: "invalid-cursor", requestId: "r", detail: "Bad." });
    return json(200, { data: [{ id: cursor ?? "0" }], nextCursor: String(Number(cursor ?? 0) + 1) });
  };
  const api = createClient({ baseUrl: "http://server.test", fetch });
  const ids: string[] = [];
  await assert.rejects(async () => {
    for await (const patient of items((cursor) => api.GET("/patients", { params: { query: { cursor } } })))
      ids.push(patient.id);
  }, ProblemError);
  assert.deepEqual(
    [ids, cursors],
    [
      ["0", "1"],
      [null, "1", "2"],
    ],
  );
});

test("reasons are matched by their code", () => {
  const text = (reason: Reason): string =>
    match(reason, {
      "insufficient-units": ({ details }) => `${details.available satisfies number} left`,
      "cap-exceeded": ({ details }) => `${details.missing} above the cap of the ${details.cap}`,
      otherwise: ({ detail }) => detail,
    });
  assert.equal(
    text({
      code: "insufficient-units",
      detail: "",
      details: { authorizationId: "a", patientId: "p", available: 3, requested: 4 },
    }),
    "3 left",
  );
  assert.equal(text({ code: "toString", detail: "from a newer server" } as unknown as Reason), "from a newer server");
});
