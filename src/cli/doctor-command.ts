/** `warren doctor`: what this kernel and this Node offer, and what is missing for a tunnel. */
import type { Command } from "commander";
import { VpnError } from "../base/errors.ts";

/** Declares the command; what it needs is loaded when it runs. */
export function doctorCommand(program: Command): void {
  program
    .command("doctor")
    .description("say what this machine offers a tunnel, and what is missing")
    .action(async () => {
      const { Capabilities } = await import("../os/probe.ts");
      const found = Capabilities.probe();
      console.log(found.toString());
      for (const finding of [found.tun, found.udp]) {
        if (finding.kind === "absent") throw new VpnError("not-available", `no tunnel can run here: ${finding.why}`);
      }
    });
}
