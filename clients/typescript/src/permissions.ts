import type { components } from "./schema.js";

/** The records for which a permission is held. */
export type Scope = components["schemas"]["SetGrantInput"]["scopes"][number];

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
