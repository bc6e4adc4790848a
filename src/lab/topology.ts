/**
 * The lab's hosts and links, as data: five network namespaces, joined by virtual cables.
 *
 *   client ───────── home ───────── internet ───────── server
 *   laptop           router,        router, knows        VPN server
 *   192.168.1.100    NAT44, NAT66   no private prefix    203.0.113.10
 *                                       │
 *                                      dns
 *                                      8.8.8.8, 2001:4860:4860::8888
 *                                      8.8.4.4, 2001:4860:4860::8844
 *
 * The home and the data centre use prefixes set aside for documentation (RFC 5737, RFC 3849), the home's inside and the
 * tunnel private ones (RFC 1918, RFC 4193). The internet has routes to its neighbours alone: what arrives there under a
 * private address finds no way back, so that every reply proves an address translation.
 */

export type HostName = "client" | "home" | "internet" | "server" | "dns";

export interface HostPlan {
  readonly name: HostName;
  readonly role: string;
  /** Whether it forwards what is not for itself. */
  readonly router: boolean;
  /** Default gateways, of each family at most one. */
  readonly gateways: readonly string[];
}

export interface LinkEnd {
  readonly host: HostName;
  readonly device: string;
  readonly addresses: readonly string[];
}

export type LinkPlan = readonly [LinkEnd, LinkEnd];

export interface Topology {
  readonly hosts: readonly HostPlan[];
  readonly links: readonly LinkPlan[];
}

export const topology: Topology = {
  hosts: [
    { name: "client", role: "a laptop at home", router: false, gateways: ["192.168.1.1", "fd00:1:2:3::1"] },
    { name: "home", role: "the home router", router: true, gateways: ["198.51.100.1", "2001:db8:1::1"] },
    { name: "internet", role: "a router", router: true, gateways: [] },
    { name: "server", role: "in a data centre", router: false, gateways: ["203.0.113.1", "2001:db8:2::1"] },
    { name: "dns", role: "answers ping and DNS", router: false, gateways: ["8.8.8.1", "2001:4860:4860::1"] },
  ],
  links: [
    [
      { host: "client", device: "eth0", addresses: ["192.168.1.100/24", "fd00:1:2:3::100/64"] },
      { host: "home", device: "lan", addresses: ["192.168.1.1/24", "fd00:1:2:3::1/64"] },
    ],
    [
      { host: "home", device: "wan", addresses: ["198.51.100.2/24", "2001:db8:1::2/64"] },
      { host: "internet", device: "homes", addresses: ["198.51.100.1/24", "2001:db8:1::1/64"] },
    ],
    [
      { host: "internet", device: "hosting", addresses: ["203.0.113.1/24", "2001:db8:2::1/64"] },
      { host: "server", device: "eth0", addresses: ["203.0.113.10/24", "2001:db8:2::10/64"] },
    ],
    [
      { host: "internet", device: "names", addresses: ["8.8.8.1/24", "8.8.4.1/24", "2001:4860:4860::1/64"] },
      {
        host: "dns",
        device: "eth0",
        addresses: ["8.8.8.8/24", "8.8.4.4/24", "2001:4860:4860::8888/64", "2001:4860:4860::8844/64"],
      },
    ],
  ],
};

/** What the home router hides behind its own address. */
export const homePrefixes: readonly string[] = ["192.168.1.0/24", "fd00:1:2:3::/64"];

/** The addresses that prove things, IPv4 first. */
export const address = {
  client: ["192.168.1.100", "fd00:1:2:3::100"],
  home: ["198.51.100.2", "2001:db8:1::2"],
  server: ["203.0.113.10", "2001:db8:2::10"],
  dns: ["8.8.8.8", "2001:4860:4860::8888"],
  /** The dns host as well, under addresses to which the tunnel has no route. */
  neighbour: ["8.8.4.4", "2001:4860:4860::8844"],
  tunnelServer: ["10.8.0.1", "fd10:8::1"],
  tunnelClient: ["10.8.0.2", "fd10:8::2"],
} as const;

export const tunnelDevice = "wg0";
export const tunnelPort = 51_820;
/** Where the dns host swallows what it is sent over TCP, for the throughput figure. */
export const sinkPort = 5201;

/** The topology for a reader, without colours. */
export const drawing: readonly string[] = [
  "client ──────────── home router ────────── internet ────────── server",
  "192.168.1.100       192.168.1.1               │                203.0.113.10",
  "fd00:1:2:3::100     NAT44 and NAT66           │                2001:db8:2::10",
  "                    198.51.100.2             dns",
  "                    2001:db8:1::2            8.8.8.8, 2001:4860:4860::8888",
  "                                             8.8.4.4, 2001:4860:4860::8844",
  "wg0 ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ the tunnel, UDP port 51820 ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ wg0",
  "10.8.0.2, fd10:8::2                                            10.8.0.1, fd10:8::1",
];
