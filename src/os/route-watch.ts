/**
 * Tells that this machine's addresses or routes may have changed: another network was joined, a cable pulled, a lease
 * renewed. On the main thread only, which hears of it by SIGIO (`readable-signal.ts`).
 */
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink.ts";
import { onReadable } from "./readable-signal.ts";

const RTMGRP_IPV4_IFADDR = 0x10;
const RTMGRP_IPV4_ROUTE = 0x40;
const RTMGRP_IPV6_IFADDR = 0x100;
const RTMGRP_IPV6_ROUTE = 0x400;
const groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;

/**
 * Watches the network namespace of this thread until disposed of. `listener` learns when to look, not what changed:
 * changes come in crowds, some of them twice, and where there are too many the kernel drops notices.
 */
export function watchRoutes(listener: () => void): Disposable {
  using opened = new DisposableStack();
  const notices = opened.use(NetlinkSocket.open(NETLINK_ROUTE, groups));
  opened.use(
    onReadable(notices.fd, () => {
      const { messages, overrun } = notices.notifications();
      if (messages.length > 0 || overrun) listener();
    }),
  );
  return opened.move();
}
