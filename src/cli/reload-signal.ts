/** SIGHUP as the wish to have the configuration read again: one at a time, and one that came too early a little later. */
export class ReloadSignal implements Disposable {
  #reload: (() => Promise<void>) | undefined;
  #isWanted = false;
  #isRunning = false;
  readonly #onHangUp = () => {
    this.#isWanted = true;
    void this.#run();
  };

  /** From here on SIGHUP does not end the process. */
  constructor() {
    process.on("SIGHUP", this.#onHangUp);
  }

  /** From here on a wish is met, by an action that does not reject. */
  begin(reload: () => Promise<void>): void {
    this.#reload = reload;
    void this.#run();
  }

  [Symbol.dispose](): void {
    process.off("SIGHUP", this.#onHangUp);
  }

  async #run(): Promise<void> {
    if (this.#isRunning || this.#reload === undefined) return;
    this.#isRunning = true;
    while (this.#isWanted) {
      this.#isWanted = false;
      await this.#reload();
    }
    this.#isRunning = false;
  }
}
