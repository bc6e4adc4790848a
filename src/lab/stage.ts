/**
 * A stage of the lab: something to learn, shown with real packets, each step of it verified. To add one, write a file in
 * `stages/` that exports what `defineStage` returns, and name it in `stage-list.ts`.
 */
import type { Journal } from "./journal.ts";
import type { StepDetails, VerifiedStep } from "./record.ts";
import type { Topology } from "./topology.ts";
import type { Mode, Workbench } from "./workbench.ts";

/** A step in words: what was seen, and lines of evidence. A line that ends in `highlightMark` is set off. */
export interface Account {
  readonly summary: string;
  readonly evidence?: readonly string[];
}

export const highlightMark = "◀";

/** What a stage says of itself. `D` has the detail of each step by its name. */
export interface StagePlan<D extends StepDetails> {
  /** As after `--stage`, and of its file. */
  readonly name: string;
  /** One line, without a full stop. */
  readonly description: string;
  /** Shown before the first step. */
  readonly drawing: readonly string[];
  /** Built before the first step. */
  readonly topology: Topology;
  /** What `--break` can damage here. */
  readonly breakages?: readonly string[];
  /** Besides `proof`. */
  readonly modes?: readonly Mode[];
  /** Each step for a reader, made of its detail alone. */
  readonly accounts: { readonly [N in keyof D]: (detail: D[N]) => Account };
  /** The steps between the first, `topology`, and the last, `teardown`. A step that fails throws, and ends it. */
  run(bench: Workbench, journal: Journal<D>): Promise<void>;
}

/** A stage of whatever steps. */
export interface Stage {
  readonly name: string;
  readonly description: string;
  readonly drawing: readonly string[];
  readonly topology: Topology;
  readonly breakages: readonly string[];
  readonly modes: readonly Mode[];
  /** The names of all steps that it can have, besides the first and the last. */
  readonly steps: readonly string[];
  account(step: VerifiedStep): Account;
  run(bench: Workbench, journal: Journal<StepDetails>): Promise<void>;
}

export function defineStage<D extends StepDetails>(plan: StagePlan<D>): Stage {
  const { name, description, drawing, topology, breakages = [], modes = [], accounts } = plan;
  return {
    name,
    description,
    drawing,
    topology,
    breakages,
    modes: ["proof", ...modes],
    steps: Object.keys(accounts),
    account: (step) => (accounts as Readonly<Record<string, (detail: unknown) => Account>>)[step.name](step.detail),
    run: (bench, journal) => plan.run(bench, journal as unknown as Journal<D>),
  };
}
