/** How long to wait before trying again: 1 s, doubled up to 30 s, each cut by a random part so that many do not come at once. Pure. */
const firstMs = 1000;
const longestMs = 30_000;
/** The random part, at most. */
const jitter = 0.25;

export class Backoff {
  #nextMs = firstMs;

  /** The next wait in milliseconds; `chance` is a random number from 0 up to 1. */
  next(chance: number): number {
    const waitMs = this.#nextMs * (1 - jitter * chance);
    this.#nextMs = Math.min(longestMs, 2 * this.#nextMs);
    return waitMs;
  }

  /** It worked: the next failure is a first one. */
  reset(): void {
    this.#nextMs = firstMs;
  }
}
