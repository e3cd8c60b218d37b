/** What the kernel says of devices and addresses of this network namespace, as it happens. */

import { Errno } from "../../lib/errno.ts";
import { EventSource } from "../../lib/sys/epoll.ts";
import { type KernelNews, openKernelMonitor } from "../../lib/sys/netsock.ts";

/** Longest datagram of news, bytes. */
const NEWS_BYTES_MAX = 32_768;

/** Call for each datagram of rtnetlink news of a kind, and when the kernel had to drop some; throws a SysError. */
export function watchKernel(
  news: KernelNews,
  onNews: (bytes: Uint8Array) => void,
  onLost: () => void,
): Disposable {
  const socket = openKernelMonitor(news);
  const buffer = new Uint8Array(NEWS_BYTES_MAX);
  const watch = EventSource.get().watch(socket.fd, { read: true }, () => {
    let n: number;
    while ((n = socket.receiveOne(buffer)) > 0) onNews(buffer.subarray(0, n));
    if (n === -Errno.ENOBUFS) onLost();
  });
  return {
    [Symbol.dispose]() {
      watch.close();
      socket.close();
    },
  };
}
