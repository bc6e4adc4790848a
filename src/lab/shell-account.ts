/** The step of `--shell`, as data and for a reader, and what there is to try in it. Pure. */
import type { StagePlan } from "./stage.ts";
import { tunnelDevice } from "./topology.ts";

export type ShellSteps = {
  shell: {
    readonly program: string;
    /** Whether somebody typed; else the commands came from a file or a pipe. */
    readonly terminal: boolean;
    readonly status: number;
    readonly seconds: number;
    /** The name server of its /etc/resolv.conf; `null` where that could not be replaced. */
    readonly nameServer: string | null;
  };
};

export const shellAccounts: StagePlan<ShellSteps>["accounts"] = {
  shell: ({ program, status, seconds }) => ({
    summary: `${program} on the client, for ${seconds.toFixed(1)} s; it ended with status ${status}`,
  }),
};

/** Of a terminal, which a line to try should fit into. */
const columns = 80;
const indent = "    ";

/** Something to type, the programs it needs besides warren, and what it is for. */
export interface Suggestion {
  readonly needs: readonly string[];
  readonly command: string;
  readonly why: string;
  /** Where only root has what it needs: tcpdump changes its user, and a user namespace has no second one. */
  readonly root?: true;
}

/** What to try on a client whose tunnel is `device`, in the order in which one learns from it. */
export function suggestions(device: string, carrier: string): readonly Suggestion[] {
  return [
    { needs: ["ping"], command: "ping -c 3 8.8.8.8", why: "goes through the tunnel" },
    { needs: ["ip"], command: "ip route", why: "the routing table, in which that is decided" },
    { needs: ["ip"], command: "ip route get 8.8.8.8", why: "what the kernel chooses, asked for one address" },
    { needs: ["ip"], command: "ip route get 8.8.4.4", why: "and for a neighbour, which has no route of its own" },
    { needs: ["ip"], command: `ip -s link show ${device}`, why: "how much has gone through" },
    ...(device === tunnelDevice
      ? [
          { needs: [], command: `warren show ${device}`, why: "keys, counters, and when the last handshake was" },
          {
            needs: ["ping"],
            command: `warren trace ${device} --count 2 & sleep 1; ping -c 3 8.8.8.8; wait`,
            why: "packets inside and outside, as they pass",
          },
        ]
      : []),
    {
      needs: ["getent"],
      command: "getent hosts burrow.warren.example",
      why: "a name that only this lab's 8.8.8.8 knows",
    },
    { needs: ["tracepath"], command: "tracepath -n 8.8.8.8", why: "the hosts on the way, as the inner packet sees it" },
    {
      needs: ["traceroute"],
      command: "traceroute -n 8.8.8.8",
      why: "the hosts on the way, as the inner packet sees it",
    },
    ...[
      { filter: `-i ${device} icmp`, why: "a ping before it is wrapped" },
      { filter: `-i eth0 ${carrier}`, why: "and after" },
    ].map(({ filter, why }) => ({
      needs: ["tcpdump", "ping"],
      command: `tcpdump -Z root -ln -c 2 ${filter} & sleep 1; ping -c 3 8.8.8.8; wait`,
      why,
      root: true as const,
    })),
  ];
}

/** The text before the first prompt. */
export function describeShell(program: string, found: readonly Suggestion[]): string {
  // What a command is for stands beside it where there is room for both, and otherwise below.
  const fits = ({ command, why }: Suggestion, width: number) =>
    indent.length + Math.max(width, command.length) + 2 + why.length <= columns;
  const width = found.reduce((widest, one) => (fits(one, widest) ? Math.max(widest, one.command.length) : widest), 0);
  return [
    "",
    `This is ${program} on the client. The VPN is up.`,
    "Leave with exit or Ctrl-D: everything is then taken down.",
    ...(found.length === 0 ? [] : ["Try"]),
    ...found.flatMap((one) =>
      fits(one, width)
        ? [`${indent}${one.command.padEnd(width)}  ${one.why}`]
        : [`${indent}${one.command}`, `${indent}${" ".repeat(width)}  ${one.why}`],
    ),
    "The others are called home, server and dns in /etc/hosts.",
    "",
  ].join("\n");
}
