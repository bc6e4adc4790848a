/**
 * One end of `warren classic`, live: a plain TUN device with its addresses and routes, and the thread that carries its
 * packets over TCP. All of what the seed has its reader type by hand is done here, and undone when it closes.
 */
import { Cidr, type Endpoint, IpAddress } from "../base/address.ts";
import { VpnError } from "../base/errors.ts";
import type { ClassicEvent } from "../dataplane/classic-path.ts";
import { ClassicThread, type ClassicThreadOptions } from "../dataplane/classic-thread.ts";
import { libc } from "../os/libc.ts";
import { openTcpListener } from "../os/tcp-socket.ts";
import { TunDevice } from "../os/tun-device.ts";
import { isPublicAddress } from "../transport/reachability.ts";
import { Detour } from "./detour.ts";
import { Forwarding } from "./forwarding.ts";
import { setUpInterface } from "./interface-setup.ts";

export interface ClassicOptions {
  /** The interface's name; `%d` in it becomes the first free number. */
  readonly name: string;
  readonly addresses: readonly Cidr[];
  readonly onEvent: (event: ClassicEvent) => void;
  /** Where the seed's line for each packet goes; nowhere where left out. */
  readonly traceTo?: number | undefined;
}

export interface ClassicServerOptions extends ClassicOptions {
  readonly listen: Endpoint;
  /** Whether to forward what clients send, under this machine's addresses. */
  readonly nat: boolean;
  /** Whether the operator knows that this encrypts nothing, and wants it on a public address all the same. */
  readonly allowPublic: boolean;
}

export interface ClassicClientOptions extends ClassicOptions {
  readonly server: Endpoint;
  readonly routes: readonly Cidr[];
}

/** The MTU of the seed's device, and of most networks: over TCP the packets need no room for a header. */
const mtu = 1500;
const maximumClients = 128;

export class ClassicTunnel implements AsyncDisposable {
  readonly name: string;
  readonly failure: Promise<VpnError>;
  readonly #resources: AsyncDisposableStack;

  private constructor(name: string, failure: Promise<VpnError>, resources: AsyncDisposableStack) {
    this.name = name;
    this.failure = failure;
    this.#resources = resources;
  }

  /** Listens for clients. Throws `VpnError`, with everything undone. */
  static async serve(options: ClassicServerOptions): Promise<ClassicTunnel> {
    const { listen, nat, allowPublic } = options;
    if (isPublicAddress(listen.address) && !allowPublic) {
      throw new VpnError("not-permitted", `refusing to listen on ${listen}, which strangers can reach`, {
        remedy: "listen on a private address, or add --i-know-this-is-not-encryption",
      });
    }
    await using resources = new AsyncDisposableStack();
    const listener = resources.adopt(openTcpListener(listen), (fd) => void libc.close(fd));
    const tun = openDevice(options, [], resources);
    if (nat) resources.use(Forwarding.enable(tun.name, options.addresses));
    return ClassicTunnel.#start(options, tun, "CLIENT", { kind: "server", listener, maximumClients }, resources);
  }

  /** Connects to a server, and again whenever the connection is lost. Throws `VpnError`, with everything undone. */
  static async connect(options: ClassicClientOptions): Promise<ClassicTunnel> {
    const { address, port, scope } = options.server;
    await using resources = new AsyncDisposableStack();
    if (options.routes.some((route) => route.contains(address))) resources.use(Detour.open(address));
    const tun = openDevice(options, options.routes.flatMap(halve), resources);
    return ClassicTunnel.#start(
      options,
      tun,
      "SERVER",
      { kind: "client", address: address.toString(), port, scope },
      resources,
    );
  }

  static #start(
    { onEvent, traceTo }: ClassicOptions,
    tun: TunDevice,
    peer: "SERVER" | "CLIENT",
    role: ClassicThreadOptions["role"],
    resources: AsyncDisposableStack,
  ): ClassicTunnel {
    const trace = traceTo === undefined ? undefined : { peer, fd: traceTo };
    const thread = resources.use(new ClassicThread({ tun: tun.fd, trace, role, onEvent }));
    return new ClassicTunnel(tun.name, thread.failure, resources.move());
  }

  /** Ends every connection, removes the interface and what was set up around it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}

function openDevice(
  { name, addresses }: ClassicOptions,
  routes: readonly Cidr[],
  resources: AsyncDisposableStack,
): TunDevice {
  const tun = resources.use(TunDevice.open({ name, virtioHeader: false }));
  const setup = { name: tun.name, index: tun.index, mtu, addresses, routes };
  setUpInterface(setup);
  return tun;
}

/** A default route in two halves: each is longer than the machine's own, which stays in its place and takes over again. */
function halve(route: Cidr): Cidr[] {
  if (route.prefix !== 0) return [route];
  const upper = new Uint8Array(route.address.bytes.length);
  upper[0] = 0x80;
  return [new Cidr(route.network.address, 1), new Cidr(new IpAddress(upper), 1)];
}
