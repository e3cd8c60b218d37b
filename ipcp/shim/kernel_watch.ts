/** What the kernel says of devices and addresses of this network namespace, as it happens. */

import { EventSource } from "../../lib/sys/epoll.ts";
import { type KernelNews, openKernelMonitor } from "../../lib/sys/netsock.ts";

/** Longest datagram of news, bytes. */
const NEWS_BYTES_MAX = 32_768;

/** Call for each datagram of rtnetlink news of a kind; throws a SysError. */
export function watchKernel(news: KernelNews, onNews: (bytes: Uint8Array) => void): Disposable {
  const socket = openKernelMonitor(news);
  const buffer = new Uint8Array(NEWS_BYTES_MAX);
  const watch = EventSource.get().watch(socket.fd, { read: true }, () => {
    for (let n = socket.receiveOne(buffer); n > 0; n = socket.receiveOne(buffer)) {
      onNews(buffer.subarray(0, n));
    }
  });
  return {
    [Symbol.dispose]() {
      watch.close();
      socket.close();
    },
  };
}
