/**
 * One connection to irm.sock: who is at the other end, and whether it still is (spec 20 §2.1, §19.2, 9).
 *
 * A pid is no identity: a socket can be handed on and outlive its process, and the pid comes back. Who connected is
 * the process that the kernel has pinned to the socket (SO_PEERPIDFD), remembered as pid and start time, and looked
 * at again with each request.
 */

import { Errno } from "../lib/errno.ts";
import type { Fd } from "../lib/sys/fd.ts";
import { pidfdEnded, procStat } from "../lib/sys/process.ts";
import type { PeerCred, SeqSocket } from "../lib/sys/socket.ts";

/** Who connected. */
export interface Peer extends PeerCred {
  /** When the process was started, ticks; undefined when it had gone before anybody looked, or is not visible here. */
  readonly startTicks: number | undefined;
}

/** Who is at the other end of a connection; of one that {@linkcode isPinned} at any time. Throws `SysError`. */
export function peerOf(socket: SeqSocket): Peer {
  const cred = socket.peerCred();
  const startTicks = procStat(cred.pid)?.startTicks;
  const pidfd = socket.peerPidfd();
  if (typeof pidfd === "number") {
    const ended = pidfd === -Errno.ESRCH || pidfd === -Errno.EINVAL;
    // Else the kernel is older, or has no descriptor left: the pid was of that process a moment ago.
    return { ...cred, startTicks: ended ? undefined : startTicks };
  }
  try {
    // It lives, so the pid was its own when its start time was read.
    return { ...cred, startTicks: pidfdEnded(pidfd) ? undefined : startTicks };
  } finally {
    pidfd.close();
  }
}

/** Whether the kernel says later, too, who connected. */
export function isPinned(socket: SeqSocket): boolean {
  const pidfd = socket.peerPidfd();
  if (typeof pidfd === "number") return pidfd === -Errno.ESRCH || pidfd === -Errno.EINVAL;
  pidfd.close();
  return true;
}

/** See the file's comment. Made for each request; the server owns the socket. */
export class Client {
  /** The connection; the server's. */
  readonly socket: SeqSocket;
  readonly #onHangup = new Set<() => void>();
  #watching = false;
  #gone = false;
  /** The connection stays for the next request. */
  keep = false;

  /**
   * @param fresh who it is was found out just now, with the request already there
   * @param pidfd of the process that connected, where the server holds one
   */
  constructor(
    socket: SeqSocket,
    readonly cred: Peer,
    private readonly fresh = false,
    private readonly pidfd?: Fd,
  ) {
    this.socket = socket;
  }

  /** Whether the process that connected still is the one of its pid. */
  get present(): boolean {
    const { fresh, pidfd } = this;
    if (this.cred.startTicks !== undefined && (fresh || pidfd !== undefined)) {
      return fresh || !pidfdEnded(pidfd!);
    }
    const { pid, startTicks } = this.cred;
    return startTicks !== undefined && procStat(pid)?.startTicks === startTicks;
  }

  /** Primary and supplementary groups of the client, as the kernel says. */
  get gids(): number[] {
    return [...new Set([this.cred.gid, ...this.socket.peerGroups()])];
  }

  /** Whether the client has hung up, asked from the kernel. */
  get gone(): boolean {
    return this.#gone ||= this.socket.hungUp;
  }

  /** Calls back when the client hangs up. Returns a function that gives up watching. */
  onHangup(call: () => void): () => void {
    this.#onHangup.add(call);
    if (!this.#watching) {
      this.#watching = true;
      this.socket.onHangup(() => this.hangUp());
    }
    return () => this.#onHangup.delete(call);
  }

  /**
   * Says something before the reply and waits for what the client answers; undefined when it has gone. One at a time.
   * @param bytesMax longer answers count as none
   */
  ask(question: Uint8Array, bytesMax: number): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      let unwatch = () => {};
      const end = (answer: Uint8Array | undefined) => {
        unwatch();
        resolve(answer);
      };
      if (this.gone || this.socket.trySend(question) < 0) return end(undefined);
      this.socket.onReadable(() => {
        const answer = this.socket.tryRecv(bytesMax);
        this.#watching = false;
        if (answer instanceof Uint8Array) return end(answer);
        this.hangUp();
        end(undefined);
      });
      // The one watch of the socket sees the end as well; a thread that ended is heard of otherwise.
      this.#watching = true;
      unwatch = this.onHangup(() => end(undefined));
    });
  }

  /** Who asked has gone, as the kernel says or as is known otherwise. */
  hangUp(): void {
    this.#gone = true;
    for (const c of [...this.#onHangup]) c();
  }
}
