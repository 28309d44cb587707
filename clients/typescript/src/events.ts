import type { Client as FetchClient } from "openapi-fetch";
import { refusal } from "./problem.js";
import { pause } from "./retry.js";
import type { paths, webhooks } from "./schema.js";

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

/** Receives events until the signal is aborted. It reconnects and continues after the last event. */
export async function* listen(
  client: FetchClient<paths>,
  listening: Listening = {},
): AsyncGenerator<LiveEvent, void, undefined> {
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
      const { data, error, response } = await client.GET("/events", {
        params,
        parseAs: "stream",
        signal: connection.signal,
      });
      if (!response.ok && response.status < 500 && response.status !== 429) {
        refused = refusal(error, response);
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
async function* messages(
  stream: ReadableStream<Uint8Array>,
  heard: () => void,
): AsyncGenerator<Message, void, undefined> {
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
