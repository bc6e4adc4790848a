/**
 * Where on this machine the tunnel's datagrams pass from UDP into a stream and back, and what is behind each such place.
 * The packet path knows the places only: to it they are endpoints like others, on loopback. Whoever shows or logs an
 * endpoint asks here what it stands for.
 */
import { type Carriage, Endpoint } from "../base/address.ts";

export class Handovers {
  readonly #carriages = new Map<string, Carriage>();

  /** From now on datagrams handed over there are carried so; again, to say what has become known. */
  set(place: Endpoint, carriage: Carriage): void {
    this.#carriages.set(keyOf(place), carriage);
  }

  delete(place: Endpoint): void {
    this.#carriages.delete(keyOf(place));
  }

  /** The endpoint with what carries it, or as it is where it is UDP's. */
  resolve(endpoint: Endpoint): Endpoint {
    const carriage = this.#carriages.get(keyOf(endpoint));
    return carriage === undefined ? endpoint : endpoint.carriedBy(carriage);
  }
}

/** What a connection to or from there carries, for a reader; one that came with a scope has no address to tell elsewhere. */
export function carriageOf(name: string, remote: string): Carriage {
  return { name, remote: remote.includes("%") ? undefined : Endpoint.parse(remote) };
}

function keyOf({ address, port }: Endpoint): string {
  return `${address} ${port}`;
}
