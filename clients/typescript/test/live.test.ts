/**
 * Tests the client against a server with tokens of one minute and rate limits. They start the program that
 * OMNI_PROGRAM names, with a database of its own, and restart it.
 */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  createClient,
  createSession,
  items,
  memoryStore,
  unwrap,
  type Client,
  type LiveEvent,
  type SessionOptions,
} from "../src/index.js";

const program = process.env.OMNI_PROGRAM;
const directory = mkdtempSync(join(tmpdir(), "omni-client-"));
chmodSync(directory, 0o755); // PostgreSQL never runs as root: another user must be able to enter
let baseUrl = "";
let address = "";
let server: ChildProcess | undefined;

async function freeAddress(): Promise<string> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return `127.0.0.1:${port}`;
}

async function start(): Promise<void> {
  assert(program, "OMNI_PROGRAM names the program");
  server = spawn(program, {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      OMNI_ADDR: address,
      OMNI_DATA_DIR: join(directory, "data"),
      OMNI_LOG_LEVEL: "error",
      OMNI_TOKEN_LIFETIME: "1m",
      OMNI_RATE_LIMIT: "20",
      OMNI_RATE_BURST: "40",
      OMNI_TOKEN_RATE_LIMIT: "20",
      OMNI_TOKEN_RATE_BURST: "40",
    },
  });
  let printed = "";
  for await (const chunk of server.stdout!) {
    printed += String(chunk);
    if (printed.includes("Omnirapeutic listens on")) break;
  }
  assert(printed.includes("Omnirapeutic listens on"), `the server starts: ${printed}`);
}

async function stop(): Promise<void> {
  if (!server || server.exitCode !== null) return;
  const ended = once(server, "exit");
  server.kill("SIGTERM");
  await ended;
}

before(async () => {
  address = await freeAddress();
  baseUrl = `http://${address}/api/v1`;
  await start();
});
after(async () => {
  await stop();
  rmSync(directory, { recursive: true, force: true });
});

interface Seen {
  paths: string[];
  statuses: number[];
}

/** A signed-in client, and the requests that it sent. */
async function signedIn(
  options: Partial<SessionOptions> = {},
): Promise<{ api: Client; session: ReturnType<typeof createSession>; seen: Seen }> {
  const seen: Seen = { paths: [], statuses: [] };
  const fetch = async (request: Request): Promise<Response> => {
    const response = await globalThis.fetch(request);
    seen.paths.push(new URL(request.url).pathname.replace("/api/v1", ""));
    seen.statuses.push(response.status);
    return response;
  };
  const session = createSession({ baseUrl, fetch, attempts: 10, ...options });
  unwrap(await session.signIn({ email: "admin@demo.test", password: "Omni-Demo-Practice-2026" }));
  return {
    session,
    seen,
    api: createClient({ baseUrl, fetch, attempts: 10, token: session.token, newKey: randomUUID }),
  };
}

/** Creates an authorization with units to book. */
async function authorize(api: Client): Promise<string> {
  const day = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  const [patient] = unwrap(await api.GET("/patients", { params: { query: { status: "ACTIVE", limit: 1 } } })).data;
  const [service] = unwrap(await api.GET("/service-codes", { params: { query: { code: "97153" } } })).data;
  assert(patient && service);
  const body = {
    patientId: patient.id,
    serviceCodeId: service.id,
    totalUnits: 500,
    startDate: day(-30),
    endDate: day(150),
    status: "ACTIVE" as const,
  };
  return unwrap(await api.POST("/authorizations", { body })).id;
}

const reserve = (api: Client, id: string) =>
  api.POST("/authorizations/{id}/reserve", { params: { path: { id } }, body: { units: 1 } });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Collects the operations on an authorization from a stream until it is stopped. */
async function follow(api: Client, id: string) {
  const end = new AbortController();
  const versions: number[] = [];
  const received: LiveEvent["type"][] = [];
  let open = (): void => undefined;
  const ready = new Promise<void>((resolve) => (open = resolve));
  const done = (async () => {
    for await (const event of api.events({ types: ["authorization.balance"], signal: end.signal })) {
      received.push(event.type);
      if (event.type === "ready") open();
      else if (event.type === "authorization.balance" && event.subjectId === id) versions.push(event.data.version);
    }
  })();
  await ready;
  return { versions, received, stop: async () => (end.abort(), done) };
}

test("two clients with one store refresh at once, and both go on", async () => {
  const { session: first, api } = await signedIn({ store: memoryStore() });
  const store = memoryStore();
  const { session: one, seen } = await signedIn({ store });
  const two = createSession({ baseUrl, store });
  const stale = (await one.token())!;
  const [a, b] = await Promise.all([one.token(stale), two.token(stale)]); // without locks: both send the refresh token
  for (const token of [a, b]) {
    assert(token && token !== stale);
    unwrap(await createClient({ baseUrl, token: () => token }).GET("/auth/me"));
  }
  unwrap(await createClient({ baseUrl, token: () => one.token(a) }).GET("/auth/me"));
  assert(seen.paths.includes("/auth/refresh"));
  unwrap(await api.GET("/auth/me"));
  for (const session of [first, one, two]) session.close();
});

test("a burst beyond the rate limit succeeds, each booking once", async () => {
  const { api, session, seen } = await signedIn();
  const id = await authorize(api);
  const answers = await Promise.all(Array.from({ length: 60 }, () => reserve(api, id)));
  for (const answer of answers) unwrap(answer);
  assert(seen.statuses.includes(429), "the server refused some");
  const { availableUnits } = unwrap(await api.GET("/authorizations/{id}", { params: { path: { id } } }));
  assert.equal(availableUnits, 440);
  let n = 0;
  const params = (cursor?: string) => ({ path: { id }, query: { limit: 25, cursor } });
  for await (const entry of items((cursor) => api.GET("/authorizations/{id}/entries", { params: params(cursor) }))) {
    if (entry.kind === "reserve") n++;
  }
  assert.equal(n, 60);
  session.close();
});

test(
  "a stream and bookings continue across the expiry of the token and a restart, without loss or repetition",
  { timeout: 240_000 },
  async () => {
    const { api, session, seen } = await signedIn();
    const id = await authorize(api);
    const stream = await follow(api, id);
    const until = Date.now() + 75_000; // tokens expire after 60 seconds
    let booked = 0;
    let restarted: Promise<void> | undefined;
    while (Date.now() < until) {
      unwrap(await reserve(api, id));
      booked++;
      if (Date.now() > until - 60_000) restarted ??= stop().then(start);
      await pause(500);
    }
    await restarted;
    for (let i = 0; i < 100 && stream.versions.length < booked; i++) await pause(200);
    await stream.stop();
    assert.equal(stream.versions.length, booked);
    assert.deepEqual(
      stream.versions,
      stream.versions.map((_, i) => stream.versions[0]! + i),
      "no version is missing or repeated",
    );
    assert(
      stream.received.filter((type) => type === "ready").length >= 3,
      "the stream was opened again after the restart and the expiry",
    );
    assert(!stream.received.includes("reset"));
    assert(seen.paths.includes("/auth/refresh"));
    assert(
      seen.statuses.every((status) => status !== 401),
      "tokens are refreshed before they expire",
    );
    const { availableUnits } = unwrap(await api.GET("/authorizations/{id}", { params: { path: { id } } }));
    assert.equal(availableUnits, 500 - booked);
    session.close();
  },
);
