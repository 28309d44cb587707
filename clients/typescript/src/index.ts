/**
 * A typed client of the Omnirapeutic API. The types of requests and answers come from
 * the OpenAPI document (`schema.ts` is generated). These files add a session that
 * refreshes its tokens, safe retries, errors by their codes, lists, and live events.
 *
 * @packageDocumentation
 */
export type * from "./schema.js";
export { createClient, type Client, type Options } from "./client.js";
export type { Listening, LiveEvent, OrganizationEvent, WebhookEvent } from "./events.js";
export { items, pages, type Page } from "./pages.js";
export { may, type Scope } from "./permissions.js";
export {
  isProblem,
  isProblemDocument,
  match,
  ProblemError,
  unwrap,
  type Answer,
  type Cases,
  type ProblemCode,
  type ProblemDocument,
  type ReasonCode,
  type ReasonDetails,
} from "./problem.js";
export type { Fetch, RetryOptions } from "./retry.js";
export {
  createSession,
  memoryStore,
  webStore,
  type Session,
  type SessionOptions,
  type Tokens,
  type TokenStore,
} from "./session.js";
