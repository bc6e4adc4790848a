/**
 * Kernel parameters as something to claim. A resource is a namespace's name and a parameter, `net-1 net/ipv4/ip_forward`.
 *
 * Forwarding is a parameter that sets others (net/ipv4/devinet.c, inet_forward_change; net/ipv6/addrconf.c,
 * addrconf_fixup_forwarding): each interface's own, and whether redirects are accepted. They are remembered with it, and
 * put back after it.
 */
import { readdirSync } from "node:fs";
import { Sysctl } from "../os/sysctl.ts";
import { Errno, SystemError } from "../os/system-error.ts";
import type { Claimable } from "./claims.ts";

export interface ParameterValue {
  readonly value: string;
  /** The parameters that it sets besides, and their values. */
  readonly besides: Readonly<Record<string, string>>;
}

export const kernelParameter: Claimable<ParameterValue> = {
  read(resource) {
    const parameter = parameterIn(resource);
    const besides = companionsOf(parameter).flatMap((name) => {
      const value = whereItIs(() => Sysctl.get(name));
      return value === undefined ? [] : [[name, value] as const];
    });
    return { value: Sysctl.get(parameter), besides: Object.fromEntries(besides) };
  },
  write(resource, { value, besides }) {
    Sysctl.set(parameterIn(resource), value);
    for (const [name, former] of Object.entries(besides)) whereItIs(() => Sysctl.set(name, former));
  },
  same: (a, b) => a.value === b.value,
};

function parameterIn(resource: string): string {
  return resource.slice(resource.indexOf(" ") + 1);
}

function companionsOf(parameter: string): string[] {
  switch (parameter) {
    case "net/ipv4/ip_forward":
      return ["net/ipv4/conf/all/accept_redirects", ...forwardingOf("net/ipv4/conf")];
    case "net/ipv6/conf/all/forwarding":
      return forwardingOf("net/ipv6/conf");
    default:
      return [];
  }
}

function forwardingOf(folder: string): string[] {
  const interfaces = readdirSync(`/proc/sys/${folder}`).filter((name) => name !== "all");
  return interfaces.map((name) => `${folder}/${name}/forwarding`);
}

/** An interface may have gone meanwhile. */
function whereItIs<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof SystemError && error.errno === Errno.ENOENT) return undefined;
    throw error;
  }
}
