import { unwrap, type Answer } from "./problem.js";

/** A page of a list. */
export interface Page<T> {
  data: readonly T[];
  nextCursor: string | null;
}

/**
 * Iterates over the pages of a list. `load` requests one page; the first cursor is `undefined`.
 *
 * @throws {@link ProblemError} if the server refuses a page.
 */
export async function* pages<P extends Page<unknown>>(
  load: (cursor: string | undefined) => Promise<Answer<P>>,
): AsyncGenerator<P, void, undefined> {
  for (let cursor: string | undefined; ;) {
    const page = unwrap(await load(cursor));
    yield page;
    if (page.nextCursor === null) return;
    cursor = page.nextCursor;
  }
}

/**
 * Iterates over the items of a list, page by page. A page is requested when its first item is needed.
 *
 * @throws {@link ProblemError} if the server refuses a page.
 * @example
 * const active = (cursor?: string) => api.GET("/patients", { params: { query: { status: "ACTIVE", cursor } } });
 * for await (const patient of items(active)) {
 *   console.log(patient.lastName);
 * }
 */
export async function* items<T>(
  load: (cursor: string | undefined) => Promise<Answer<Page<T>>>,
): AsyncGenerator<T, void, undefined> {
  for await (const page of pages(load)) yield* page.data;
}
