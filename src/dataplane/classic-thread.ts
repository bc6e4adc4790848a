/** The thread of `warren classic` as main sees it: started, heard, and ended properly, also when the process goes down. */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { VpnError } from "../base/errors.ts";
import { EventDescriptor } from "../os/event-descriptor.ts";
import type { ClassicEvent } from "./classic-path.ts";
import type { ClassicWorkerSettings } from "./classic-worker.ts";

export interface ClassicThreadOptions extends Pick<ClassicWorkerSettings, "tun" | "trace" | "role"> {
  readonly onEvent: (event: ClassicEvent) => void;
}

export class ClassicThread implements AsyncDisposable {
  /** Resolves with what went wrong, should the thread end before it is told to. */
  readonly failure: Promise<VpnError>;
  readonly #stop: Int32Array<SharedArrayBuffer> = new Int32Array(new SharedArrayBuffer(4));
  readonly #wake: EventDescriptor = EventDescriptor.create();
  readonly #ended: Promise<void>;
  readonly #onExit = () => this.#signalStop();

  constructor({ onEvent, ...settings }: ClassicThreadOptions) {
    const workerData: ClassicWorkerSettings = { ...settings, stop: this.#stop, wake: this.#wake.fd };
    // `tsc` does not rewrite the extension inside a string: take it from this very file, .ts here and .js in dist.
    const file = new URL(`./classic-worker${extname(import.meta.filename)}`, import.meta.url);
    const worker = new Worker(file, { workerData, name: "warren-classic" });
    const failure = Promise.withResolvers<VpnError>();
    const ended = Promise.withResolvers<void>();
    this.failure = failure.promise;
    this.#ended = ended.promise;
    worker.on("message", onEvent);
    worker.on("error", (error) => failure.resolve(fromWorker(error)));
    worker.once("exit", () => {
      failure.resolve(new VpnError("worker-failed", "the classic worker ended"));
      ended.resolve();
    });
    process.on("exit", this.#onExit);
  }

  /** Ends the thread, and with it its connections. The descriptors it was given remain the caller's to close. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#signalStop();
    await this.#ended;
    process.off("exit", this.#onExit);
    this.#wake[Symbol.dispose]();
  }

  #signalStop(): void {
    Atomics.store(this.#stop, 0, 1);
    this.#wake.signal();
  }
}

/** An error loses its class on its way out of a thread, but not what it says. */
function fromWorker(error: unknown): VpnError {
  const { code, message, remedy } = error as Partial<VpnError>;
  return new VpnError(code ?? "worker-failed", message ?? "the classic worker failed", {
    cause: error,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
