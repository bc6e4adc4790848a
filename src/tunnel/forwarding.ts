import type { Cidr } from "../base/address.ts";
export class Forwarding implements Disposable {
  static enable(_name: string, _addresses: readonly Cidr[]): Forwarding {
    return new Forwarding();
  }
  [Symbol.dispose](): void {}
}
