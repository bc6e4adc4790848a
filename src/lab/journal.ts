/** Runs a stage's steps, times them, and writes down how each went. `D` has the detail of each step by its name. */
import { VpnError } from "../base/errors.ts";
import type { FailedStep, StepDetails, StepRecord } from "./record.ts";

/** Thrown by a step that did not see what it should have. */
export class Disproof extends VpnError {
  readonly expected: string;
  readonly seen: string;

  constructor(expected: string, seen: string) {
    super("lab-step-failed", `expected ${expected}, but ${seen}`);
    this.expected = expected;
    this.seen = seen;
  }
}

/** Goes on only if it holds. `seen` continues "expected ..., but". */
export function verify(holds: boolean, expected: string, seen: string): asserts holds {
  if (!holds) throw new Disproof(expected, seen);
}

export class Journal<D extends StepDetails> {
  readonly steps: StepRecord[] = [];
  readonly #listener: (step: StepRecord) => void;

  constructor(listener: (step: StepRecord) => void) {
    this.#listener = listener;
  }

  /** The first step that failed. */
  get failure(): FailedStep | undefined {
    return this.steps.find((step) => !step.ok);
  }

  /**
   * Runs a step whose detail is what `action` returns. A `VpnError` it throws is recorded and rethrown. `since` is when
   * the step really began, if something of it ran before its turn.
   */
  async step<N extends keyof D & string>(
    name: N,
    action: () => Promise<D[N]> | D[N],
    since: number = performance.now(),
  ): Promise<D[N]> {
    const detail = await this.prepare(name, action, since);
    this.#add({ name, ok: true, milliseconds: round(performance.now() - since), detail });
    return detail;
  }

  /** Runs what a step needs beforehand. A `VpnError` it throws is recorded as that step's failure and rethrown. */
  async prepare<T>(
    name: keyof D & string,
    action: () => Promise<T> | T,
    since: number = performance.now(),
  ): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof VpnError)) throw error;
      const { expected, seen } = error instanceof Disproof ? error : { expected: "no error", seen: error.line };
      this.#add({ name, ok: false, milliseconds: round(performance.now() - since), expected, seen });
      throw error;
    }
  }

  #add(step: StepRecord): void {
    this.steps.push(step);
    this.#listener(step);
  }
}

/** To a tenth. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
