// Calls a running server through the client that hey-api generates: signs in to the demo
// practice, reads its authorizations, and waits for the first event of the stream.
import { client } from "./generated/hey-api/client.gen.js";
import { listAuthorizations, listenToEvents, signIn } from "./generated/hey-api/sdk.gen.js";

client.setConfig({ baseUrl: `${process.env.OMNI_URL}/api/v1`, throwOnError: true });

const { data: session } = await signIn({
  body: { email: "scheduler@demo.test", password: "Omni-Demo-Practice-2026" },
  throwOnError: true,
});
client.setConfig({ auth: () => session.accessToken });

const { data: page } = await listAuthorizations({ query: { limit: 3 }, throwOnError: true });
if (page.data.length !== 3) throw new Error(`expected 3 authorizations, got ${page.data.length}`);
for (const a of page.data) console.log(`${a.authNumber}: ${a.availableUnits} of ${a.totalUnits} units available`);

const stopping = new AbortController();
const { stream } = await listenToEvents({ signal: stopping.signal });
for await (const event of stream) {
  console.log(`the stream begins with ${event.type}`);
  if (event.type !== "ready") throw new Error("expected the opening event");
  break;
}
stopping.abort();
process.exit(0);
