import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient, isProblem, may, ProblemError, type LiveEvent, type Options } from "../src/index.js";

type Answer = (request: Request) => Response | Promise<Response>;

/** A client of a server that gives these answers, one after the other, and what it was asked. */
function script(answers: Answer[], options: Partial<Options> = {}) {
  const asked: Request[] = [];
  const api = createClient({
    baseUrl: "http://server.test/api/v1",
    newKey: () => `key ${asked.length}`,
    fetch: async (request) => {
      asked.push(request);
      const answer = answers.shift();
      assert(answer, `one request too many: ${request.method} ${request.url}`);
      return answer(request);
    },
    ...options,
  });
  return { api, asked };
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  () =>
    new Response(JSON.stringify(body), { status, headers });
const broken: Answer = () => Promise.reject(new TypeError("the connection broke"));
const problem = (status: number, code: string, headers?: Record<string, string>): Answer =>
  json(status, { type: "", title: "", status, detail: "Told in words.", instance: "", code, requestId: "r1" }, headers);

/** A stream that writes these bytes in pieces of a few, and then ends, or stays silent. */
function stream(text: string, { silent = false } = {}): Answer {
  return (request) => {
    const bytes = new TextEncoder().encode(text);
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 7) controller.enqueue(bytes.slice(at, at + 7));
        if (!silent) controller.close();
        request.signal.addEventListener("abort", () => {
          if (silent) controller.error(request.signal.reason);
        });
      },
    });
    return new Response(body, { status: 200, headers: { "Content-Type": "text/event-stream" } });
  };
}
const event = (id: number) =>
  `id: ${id}\nevent: authorization.balance\ndata: {"id":${id},"type":"authorization.balance","subjectId":"Zoë"}\n\n`;
const ready = (id: number) => `id: ${id}\nevent: ready\ndata: {"id":${id}}\n\n`;

const path = { id: "a" };
const reserve = { params: { path }, body: { units: 4 } };

test("permissions of a user are checked with their scopes", () => {
  const user = { scopes: { "patient:read": ["CASELOAD", "CHILD"], "appointment:start": ["ORGANIZATION"] } };
  assert(may(user, "patient:read"));
  assert(may(user, "patient:read", "CHILD"));
  assert(!may(user, "patient:read", "SELF"));
  assert(!may(user, "patient:read", "ORGANIZATION"));
  assert(may(user, "appointment:start", "SELF"), "the organization's is all there is");
  assert(!may(user, "patient:change"));
  assert(!may(user, "constructor"));
});

test("a booking has the token and is retried with its key", async () => {
  const { api, asked } = script(
    [broken, problem(503, "shutting-down", { "Retry-After": "0" }), json(201, { reservation: { id: "r" } })],
    { token: () => "t" },
  );
  const { data } = await api.POST("/authorizations/{id}/reserve", reserve);
  assert.equal(data?.reservation.id, "r");
  assert.deepEqual(
    asked.map((r) => r.headers.get("Idempotency-Key")),
    ["key 0", "key 0", "key 0"],
  );
  assert.deepEqual(
    asked.map((r) => r.headers.get("Authorization")),
    Array(3).fill("Bearer t"),
  );
  assert.deepEqual(await asked[2]?.json(), { units: 4 });
});

test("a given key is kept", async () => {
  const { api, asked } = script([json(201, {})]);
  await api.POST("/authorizations/{id}/reserve", {
    ...reserve,
    params: { path, header: { "Idempotency-Key": "mine" } },
  });
  assert.equal(asked[0]?.headers.get("Idempotency-Key"), "mine");
});

test("a chosen version of the API is sent with each request", async () => {
  const { api, asked } = script([json(200, {}), json(201, {})], { apiVersion: "2027-01-15" });
  await api.GET("/auth/me");
  await api.POST("/authorizations/{id}/reserve", reserve);
  assert.deepEqual(
    asked.map((r) => r.headers.get("API-Version")),
    ["2027-01-15", "2027-01-15"],
  );
});

test("requests that are not idempotent are not retried", async () => {
  const { api } = script([broken]);
  await assert.rejects(api.PATCH("/authorizations/{id}", { params: { path }, body: { notes: "new" } }), TypeError);
});

test("an error is not retried, and its code narrows its type", async () => {
  const { api } = script([json(409, { code: "insufficient-units", requestId: "r1", available: 3, requested: 4 })]);
  const { error } = await api.POST("/authorizations/{id}/reserve", reserve);
  assert(isProblem(error, "insufficient-units") && !isProblem(error, "cap-exceeded"));
  assert.equal(error.available, 3);
  // The compiler also knows the errors of an operation without a helper.
  if (error.code === "insufficient-units") assert.equal(error.requested satisfies number, 4);
});

test("a stream continues after the last message, keep-alives included", async () => {
  const { api, asked } = script([
    stream(ready(1) + event(2) + ": alive\nid: 5\n\n" + event(6).slice(0, 40)),
    broken,
    stream(ready(5) + event(6)),
  ]);
  const heard: LiveEvent[] = [];
  for await (const e of api.events({ types: ["authorization.balance"] })) {
    heard.push(e);
    if (e.id === 6) break;
  }
  assert.deepEqual(
    heard.map((e) => [e.type, e.id]),
    [
      ["ready", 1],
      ["authorization.balance", 2],
      ["ready", 5],
      ["authorization.balance", 6],
    ],
  );
  assert.equal(heard[1]?.type === "authorization.balance" && heard[1].subjectId, "Zoë");
  assert.deepEqual(
    asked.map((r) => r.headers.get("Last-Event-ID")),
    [null, "5", "5"],
  );
  assert.equal(asked[0]?.url, "http://server.test/api/v1/events?types=authorization.balance");
  assert(asked[2]?.signal.aborted, "the connection is given back");
});

test("a silent stream is reopened", async () => {
  const { api } = script([stream(ready(1), { silent: true }), stream(event(2))]);
  const ids: number[] = [];
  for await (const e of api.events({ silence: 50 })) if (ids.push(e.id) === 2) break;
  assert.deepEqual(ids, [1, 2]);
});

test("a refused stream throws the error", async () => {
  const { api } = script([problem(401, "unauthenticated")]);
  await assert.rejects(
    api.events().next(),
    (e) => e instanceof ProblemError && isProblem(e.problem, "unauthenticated"),
  );
});

test("a stream ends when its signal is aborted", async () => {
  const stop = new AbortController();
  const { api } = script([stream(ready(1), { silent: true })]);
  for await (const e of api.events({ signal: stop.signal })) {
    assert.equal(e.type, "ready");
    stop.abort();
  }
});
