/** Processor time of this thread in milliseconds: what other programs do meanwhile is not in it. */
export function workMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
