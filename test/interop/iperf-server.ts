/** iperf3's server for one client, ready when this resolves. It is over with its client, and its port free, when it ends. */
import assert from "node:assert/strict";
import type { Machine } from "./machine.ts";

export interface IperfServer {
  /** Resolves when the server has ended, well, and another can take its port. */
  ended(): Promise<void>;
}

export async function serveIperf(host: Machine): Promise<IperfServer> {
  const server = host.start(["iperf3", "--server", "--one-off", "--forceflush"]);
  await server.line(/listening/);
  return {
    ended: async () => {
      const { code, stdout, stderr } = await server.outcome;
      assert.equal(code, 0, stdout + stderr);
    },
  };
}
