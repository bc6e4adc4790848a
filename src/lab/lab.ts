/**
 * The lab: a small internet on one machine, a VPN across it, and the proof, step by step, that packets of programs which
 * know nothing of a tunnel go through it. What there is to see is a *stage*: `stage.ts` says what one is, `stages/` has
 * them. This file runs any of them.
 *
 * All of it lives in network namespaces without names, held by this process, which itself runs in a namespace of its own
 * (`sandbox.ts`): the machine's links, routes, kernel parameters and firewall are never touched, and whatever happens
 * here, the kernel removes everything when the process is gone. The hosts are drawn in `topology.ts`. This process is
 * all of them; the warrens and the programs that use the tunnel are children, each on its host.
 */
import { VpnError } from "../base/errors.ts";
import { Journal } from "./journal.ts";
import { privilege } from "./privilege.ts";
import type { FrameSteps, LabRecord, StepDetails, StepRecord } from "./record.ts";
import type { Stage } from "./stage.ts";
import { Workbench, type WorkbenchOptions } from "./workbench.ts";

export interface LabOptions extends WorkbenchOptions {
  readonly stage: Stage;
  /** Told each step as it is done. */
  readonly onStep?: ((step: StepRecord) => void) | undefined;
}

/** Runs a stage in this thread's network namespace. What fails is in the record; throws only what is no step's fault. */
export async function runLab({ stage, onStep = () => {}, ...options }: LabOptions): Promise<LabRecord> {
  const start = performance.now();
  const journal = new Journal<FrameSteps>(onStep);
  const bench = new Workbench(options);
  const quiet = (error: unknown) => {
    if (journal.failure === undefined || !(error instanceof VpnError)) throw error;
  };
  try {
    await journal.step("topology", () => bench.build(stage.topology));
    await stage.run(bench, journal as unknown as Journal<StepDetails>);
  } catch (error) {
    quiet(error);
  } finally {
    await journal
      .step("teardown", () => bench.stop())
      .catch(quiet)
      .finally(() => bench.clear());
  }
  return {
    stage: stage.name,
    ok: journal.failure === undefined,
    milliseconds: Math.round(performance.now() - start),
    privilege: privilege(),
    broken: options.broken ?? null,
    topology: stage.topology,
    steps: journal.steps,
  };
}
