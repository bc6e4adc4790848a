/**
 * Tells when an interface changes or goes: its MTU, its name, up and down, its deletion. On the main thread only, which
 * hears of it by SIGIO (`readable-signal.ts`).
 */
import { type Link, Links } from "./links.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink.ts";
import { onReadable } from "./readable-signal.ts";

const RTMGRP_LINK = 1;

export type LinkEvent = { readonly kind: "changed"; readonly link: Link } | { readonly kind: "deleted" };

/** `link` is what was so at first: what the first event differs from. */
export interface LinkWatch extends Disposable {
  readonly link: Link | undefined;
}

/**
 * Watches the interface of this index in the network namespace of this thread until disposed of. `listener` is told what
 * differs from what it was told last, at first from what is so now; after "deleted" nothing follows.
 */
export function watchLink(index: number, listener: (event: LinkEvent) => void): LinkWatch {
  using opened = new DisposableStack();
  const notices = opened.use(NetlinkSocket.open(NETLINK_ROUTE, RTMGRP_LINK));
  const links = new Links(opened.use(NetlinkSocket.open(NETLINK_ROUTE)));
  const first = links.find(index);
  let told = JSON.stringify(first);
  opened.use(
    onReadable(notices.fd, () => {
      // A notice only says when to look: so one that was lost, or that is about another interface, does no harm.
      notices.notifications();
      if (told === undefined) return;
      const link = links.find(index);
      const now = JSON.stringify(link);
      if (now === told) return;
      told = now;
      listener(link === undefined ? { kind: "deleted" } : { kind: "changed", link });
    }),
  );
  const kept = opened.move();
  return { link: first, [Symbol.dispose]: () => kept.dispose() };
}
