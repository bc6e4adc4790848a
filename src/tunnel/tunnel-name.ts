/** The name of a tunnel whose configuration gives none. */
import { InterfaceConfig } from "../os/interface-config.ts";
import { checkTunnelName } from "./state-folder.ts";

/** The given name, checked; otherwise the first of wg0, wg1 … that no interface has. Throws `invalid-argument`. */
export function chooseTunnelName(given: string | undefined): string {
  if (given !== undefined) return checkTunnelName(given);
  using config = InterfaceConfig.open();
  const used = new Set(config.links.list().map(({ name }) => name));
  let number = 0;
  while (used.has(`wg${number}`)) number++;
  return `wg${number}`;
}
