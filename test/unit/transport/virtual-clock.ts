/** A clock that goes on when the test says so. */
import type { Clock } from "../../../src/transport/clock.ts";

interface Appointment {
  readonly at: number;
  readonly action: () => void;
}

export class VirtualClock implements Clock {
  #now = 1000;
  /** In the order in which they were made. */
  readonly #appointments = new Set<Appointment>();

  now(): number {
    return this.#now;
  }

  after(delayMs: number, action: () => void): Disposable {
    const appointment = { at: this.#now + delayMs, action };
    this.#appointments.add(appointment);
    return { [Symbol.dispose]: () => this.#appointments.delete(appointment) };
  }

  /** Lets so much time pass, and everything happen that is due in it, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#appointments].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#appointments.delete(due);
      this.#now = due.at;
      due.action();
    }
    this.#now = end;
  }
}
