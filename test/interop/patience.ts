/** Waits for what should happen, no longer than so many milliseconds: what has not happened by then has failed, by name. */
export async function within<T>(patienceMs: number, what: string | (() => string), happening: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new Error(`waited ${patienceMs} ms in vain for ${typeof what === "string" ? what : what()}`));
  }, patienceMs);
  try {
    return await Promise.race([happening, promise]);
  } finally {
    clearTimeout(timer);
  }
}
