/**
 * What a tunnel of `warren up` does when it is asked over its control socket, beside telling how it fares:
 *
 *     warren=home      the network namespace and the process it lives in
 *     warren=down      ends; the answer comes when everything is undone, or says what could not be
 *     warren=reload    reads its file again; the answer says whether it has, or why not
 */
import type { Operations } from "../api/control-socket.ts";
import { VpnError } from "../base/errors.ts";
import { networkNamespaceId } from "../os/boot.ts";
import type { ReloadOutcome } from "../tunnel/journal-content.ts";

/** The answer to `warren=home`. All tunnels of a file system have their sockets in one folder, whatever their network. */
export interface TunnelHome {
  readonly networkNamespace: string;
  readonly pid: number;
}

export const notFromFile = "what it was configured from cannot be read again: bring it up from a file";

type Reload = () => Promise<ReloadOutcome>;

export class TunnelControl {
  readonly #askForEnd: () => void;
  readonly #ended = Promise.withResolvers<true>();
  #reload: Reload | undefined;

  constructor(askForEnd: () => void) {
    this.#askForEnd = askForEnd;
    this.#ended.promise.catch(() => undefined); // nobody need have asked
  }

  get operations(): Operations {
    const networkNamespace = networkNamespaceId();
    return {
      home: (): TunnelHome => ({ networkNamespace, pid: process.pid }),
      down: () => {
        this.#askForEnd();
        return this.#ended.promise;
      },
      reload: () => {
        if (this.#reload !== undefined) return this.#reload();
        throw new VpnError("not-available", "still coming up", { remedy: "reload it when `warren up` has returned" });
      },
    };
  }

  /** The tunnel is up. */
  begin(reload: Reload): void {
    this.#reload = reload;
  }

  /** The tunnel has ended, for whatever reason; `failure` is what could not be undone. */
  end(failure?: unknown): void {
    if (failure === undefined) this.#ended.resolve(true);
    else this.#ended.reject(failure);
  }
}
