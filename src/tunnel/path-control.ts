/** What whoever chooses among ways needs of a live tunnel: how a peer fares, questions by a way, and the choice itself. */
import type { Endpoint } from "../base/address.ts";
import type { PublicKey } from "../base/keys.ts";
import { ArrivalGauge } from "../dataplane/arrivals.ts";
import { encodeEndpoint } from "../dataplane/endpoint-record.ts";
import { bootTime } from "../os/clock.ts";
import type { EndpointHold } from "../wireguard/endpoint-hold.ts";
import type { Peer } from "../wireguard/peer.ts";
import type { PathSight } from "./path-choice.ts";
import type { ProtocolDriver } from "./protocol-driver.ts";

const keepalive = new Uint8Array(0);

export class PathControl {
  readonly #driver: ProtocolDriver;
  readonly #gauges = new WeakMap<Peer, ArrivalGauge>();

  constructor(driver: ProtocolDriver) {
    this.#driver = driver;
  }

  /** `undefined` where there is no such peer. */
  sight(key: PublicKey): Omit<PathSight, "ready"> | undefined {
    const { device, plane } = this.#driver;
    const peer = device.peer(key);
    if (peer === undefined) return undefined;
    const gauge = this.#gauges.get(peer) ?? new ArrivalGauge(plane.memory, peer.id);
    this.#gauges.set(peer, gauge);
    const { receivedAt, unansweredSince } = peer.activity;
    return {
      hasSession: peer.current?.canSend(bootTime()) === true,
      isShakingHands: peer.isShakingHands,
      receivedAt,
      unansweredSince,
      ...plane.peers.transfer(peer.id),
      ...gauge.take(),
    };
  }

  /** Asks the peer whether it hears us at an endpoint; `paths.answered` is told if so. */
  probe(key: PublicKey, endpoint: Endpoint): void {
    const peer = this.#driver.device.peer(key);
    if (peer !== undefined) this.#driver.device.probe(bootTime(), peer, endpoint);
    this.#driver.settle();
  }

  /** Where a peer is reached now. */
  endpoint(key: PublicKey): Endpoint | undefined {
    return this.#driver.device.peer(key)?.endpoint;
  }

  /** Says who may move a peer's endpoint. */
  hold(key: PublicKey, hold: EndpointHold): void {
    const { device, plane } = this.#driver;
    const peer = device.peer(key);
    if (peer === undefined) return;
    peer.hold = hold;
    plane.peers.hold(peer.id, hold);
  }

  /** Sends there from now on, whatever way the peer's own messages take; the session goes on. */
  choose(key: PublicKey, endpoint: Endpoint, hold: EndpointHold): void {
    const { device, plane } = this.#driver;
    const peer = device.peer(key);
    if (peer === undefined) return;
    this.hold(key, hold);
    device.setEndpoint(bootTime(), peer, endpoint);
    this.#driver.settle();
    plane.peers.setEndpoint(peer.id, encodeEndpoint(endpoint)); // a worker may have written between the two
    this.recall(key);
  }

  /** Says something to the peer, so that it answers by the way in use. */
  recall(key: PublicKey): void {
    const { device, plane } = this.#driver;
    const peer = device.peer(key);
    if (peer?.current?.canSend(bootTime()) === true) plane.seal(peer.id, keepalive);
  }
}
