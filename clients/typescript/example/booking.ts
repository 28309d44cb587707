/**
 * Books units of an authorization, handles "insufficient units", and receives the events
 * of its bookings. It needs a server with the demo practice, such as `go run .` starts:
 *
 *     npm run example
 *
 * OMNI_URL, OMNI_EMAIL and OMNI_PASSWORD name another server or user. Any unexpected
 * answer ends the program with an exception, and so with an exit code that is not 0.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  createClient,
  createSession,
  isProblem,
  unwrap,
  type AuthorizationBalanceEvent,
  type LiveEvent,
} from "../src/index.js";

const {
  OMNI_URL = "http://127.0.0.1:8080",
  OMNI_EMAIL = "admin@demo.test",
  OMNI_PASSWORD = "Omni-Demo-Practice-2026",
} = process.env;

const baseUrl = `${OMNI_URL}/api/v1`;
const session = createSession({ baseUrl });
const api = createClient({ baseUrl, token: session.token, newKey: randomUUID });

// Sign in. The session refreshes the access token from now on.
const signedIn = unwrap(await session.signIn({ email: OMNI_EMAIL, password: OMNI_PASSWORD }));
console.log(`signed in as ${signedIn.user.name}`);

// Create an authorization for a patient.
const [patient] = unwrap(await api.GET("/patients", { params: { query: { status: "ACTIVE", limit: 1 } } })).data;
const [service] = unwrap(await api.GET("/service-codes", { params: { query: { code: "97153" } } })).data;
assert(patient && service, "the demo practice has patients, and the service code 97153");

const day = 24 * 60 * 60 * 1000;
const dateIn = (days: number): string => new Date(Date.now() + days * day).toISOString().slice(0, 10);
const authorization = unwrap(
  await api.POST("/authorizations", {
    body: {
      patientId: patient.id,
      serviceCodeId: service.id,
      totalUnits: 20,
      startDate: dateIn(-30),
      endDate: dateIn(150),
      status: "ACTIVE",
    },
  }),
);
const path = { id: authorization.id };
console.log(
  `authorized ${authorization.availableUnits} units of ${service.code} for ${patient.firstName} ${patient.lastName}`,
);

// Listen before booking: all events after `ready` follow.
const stop = new AbortController();
const patience = setTimeout(() => stop.abort(), 30_000);
const live = api.events({ types: ["authorization.balance"], signal: stop.signal });
async function next(): Promise<LiveEvent> {
  const { value } = await live.next();
  assert(value, "an event comes in time");
  return value;
}
const ready = await next();
assert.equal(ready.type, "ready");

// Reserve. The same request with the same key is the same booking.
const reserve = {
  params: { path, header: { "Idempotency-Key": randomUUID() } },
  body: { units: 4, reference: "example" },
};
const booked = unwrap(await api.POST("/authorizations/{id}/reserve", reserve));
assert.equal(booked.authorization.availableUnits, 16);
const again = await api.POST("/authorizations/{id}/reserve", reserve);
assert.equal(again.response.headers.get("Idempotency-Replayed"), "true");
assert.equal(unwrap(again).reservation.id, booked.reservation.id);
console.log(`reserved ${booked.reservation.units}, ${booked.authorization.availableUnits} are left`);

// Preview a booking: nothing is written.
const preview = unwrap(
  await api.POST("/authorizations/{id}/preview", { params: { path }, body: { operation: "reserve", units: 17 } }),
);
assert.equal(preview.allowed, false);
assert.equal(preview.refusal?.code, "insufficient-units");

// Ask for more than is left. The code identifies the error, and the type has its members.
const { data, error } = await api.POST("/authorizations/{id}/reserve", { params: { path }, body: { units: 17 } });
assert.equal(data, undefined);
if (isProblem(error, "insufficient-units")) {
  assert.deepEqual([error.requested, error.available], [17, 16]);
  console.log(`${error.requested} are not to be had; taking the ${error.available} that are`);
  const rest = unwrap(
    await api.POST("/authorizations/{id}/reserve", { params: { path }, body: { units: error.available } }),
  );
  assert.equal(rest.authorization.availableUnits, 0);
} else {
  throw new Error(`unexpected error: ${JSON.stringify(error)}`);
}

// Both bookings arrive in their order; other users may book meanwhile.
async function nextOwn(): Promise<AuthorizationBalanceEvent> {
  for (;;) {
    const event = await next();
    if (event.type === "authorization.balance" && event.subjectId === authorization.id) return event;
  }
}
const first = await nextOwn();
assert.equal(first.data.operation, "reserve");
assert.equal(first.data.availableUnits, 16);
assert.equal((await nextOwn()).data.availableUnits, 0);
await live.return();

// A client that reconnects with the last id gets the later events.
const missed = api.events({ lastEventId: first.id, signal: stop.signal });
for await (const event of missed) {
  if (event.type !== "authorization.balance" || event.subjectId !== authorization.id) continue;
  assert.equal(event.data.availableUnits, 0);
  break;
}
clearTimeout(patience);
assert(!stop.signal.aborted, "the events come in time");
console.log("heard of both bookings: done");
