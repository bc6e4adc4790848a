/**
 * The thread of `warren classic`: it blocks in `poll`, which main must not, since main answers signals. Like every
 * thread that blocks in a foreign call it is woken by its event descriptor only, looks at the stop word, and leaves.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Endpoint, IpAddress } from "../base/address.ts";
import { ClassicClient } from "./classic-client.ts";
import { ClassicPath, type ClassicPathOptions } from "./classic-path.ts";
import { ClassicServer } from "./classic-server.ts";

/** What main gives the thread at its start. */
export interface ClassicWorkerSettings extends Pick<ClassicPathOptions, "tun" | "wake" | "trace"> {
  /** One word: 1 once the thread is to end. */
  readonly stop: Int32Array<SharedArrayBuffer>;
  readonly role:
    | { readonly kind: "server"; readonly listener: number; readonly maximumClients: number }
    | { readonly kind: "client"; readonly address: string; readonly port: number; readonly scope: number };
}

const { stop, role, ...descriptors } = workerData as ClassicWorkerSettings;
using resources = new DisposableStack();
const path = resources.use(
  new ClassicPath({
    ...descriptors,
    maximumConnections: role.kind === "server" ? role.maximumClients : 1,
    onEvent: (event) => parentPort?.postMessage(event),
  }),
);
const loop =
  role.kind === "server"
    ? new ClassicServer(path, role.listener)
    : resources.use(new ClassicClient(path, new Endpoint(IpAddress.parse(role.address), role.port, role.scope)));
while (Atomics.load(stop, 0) === 0) loop.turn();
