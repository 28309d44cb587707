/** Sends a request. */
export type Fetch = (request: Request) => Promise<Response>;

/** The limits of retries. */
export interface RetryOptions {
  /** The maximum number of attempts for requests that are safe to retry. Default: 5. */
  attempts?: number;
  /**
   * The longest time in seconds that the server may ask to wait. A longer `Retry-After` is returned as an error
   * at once. Default: 30.
   */
  longestWait?: number;
}

/**
 * Sends a request, and retries it if that is safe and may help. It retries after a broken connection if the
 * request is a GET or has an Idempotency-Key (`safe` overrides this). It retries 429, and 5xx of the same
 * requests, if the answer has `Retry-After`. A 429 is always safe to retry, because the server refuses before it reads or writes.
 */
export async function persist(
  request: Request,
  fetch: Fetch,
  options: RetryOptions & { safe?: boolean } = {},
): Promise<Response> {
  const { attempts = 5, longestWait = 30 } = options;
  const safe = options.safe ?? (request.method === "GET" || request.headers.has("Idempotency-Key"));
  for (let attempt = 1; ; attempt++) {
    let seconds = 2 ** (attempt - 1) / 2;
    try {
      const response = await fetch(request.clone());
      const after = retryAfter(response);
      const again = response.status === 429 || (safe && response.status >= 500);
      if (!again || attempt >= attempts || after === undefined || after > longestWait) return response;
      await response.body?.cancel();
      seconds = Math.max(after, 0.1);
    } catch (failure) {
      if (!safe || attempt >= attempts || request.signal.aborted) throw failure;
    }
    await pause(seconds, request.signal);
    request.signal.throwIfAborted();
  }
}

/** Returns `Retry-After` in seconds. It is a number, or a date from a proxy. */
function retryAfter(response: Response): number | undefined {
  const value = response.headers.get("Retry-After");
  if (value === null || value === "") return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(seconds, 0);
}

/** Waits at least this long, with jitter; shorter if the signal is aborted. */
export function pause(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, seconds * 1000 * (1 + Math.random() / 4));
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}
