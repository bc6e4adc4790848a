/** What a service manager wants to know of `warren up --foreground` (sd_notify(3)); without one nothing happens. */
import { notifyServiceManager } from "../os/notify-socket.ts";

export class ServiceManager {
  readonly #address = process.env.NOTIFY_SOCKET;

  ready(): void {
    this.#notify("READY=1", `MAINPID=${process.pid}`);
  }

  /** With the time on CLOCK_MONOTONIC, by which Type=notify-reload tells this reload from an earlier one. */
  reloading(): void {
    this.#notify("RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  stopping(): void {
    this.#notify("STOPPING=1");
  }

  /** A manager that does not listen is no reason to end a tunnel. */
  #notify(...lines: readonly string[]): void {
    try {
      notifyServiceManager(this.#address, lines);
    } catch (error) {
      console.error(`warren: warning: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
