/**
 * The socket server: one request and at most one reply a connection (spec 20 §2.1). It reads without ever
 * waiting for a silent client, bounds how many connections there are, by user, and how long silent ones may stay, lets
 * the requests of users take turns, and closes everything at the end.
 */

import { FLOW_KEEP } from "../lib/codes.ts";
import { Errno, errnoText } from "../lib/errno.ts";
import { type Instance, irmSocketPath } from "../lib/instance.ts";
import { encodeIrmMsg } from "../lib/irm/messages.ts";
import { LONG_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX } from "../lib/limits.ts";
import type { Logger } from "../lib/log.ts";
import { EventSource, type Watch } from "../lib/sys/epoll.ts";
import type { Fd } from "../lib/sys/fd.ts";
import { SysError } from "../lib/sys/ffi.ts";
import { SeqListener, type SeqSocket } from "../lib/sys/socket.ts";
import { effectiveUid } from "../lib/sys/users.ts";
import type { Outcome } from "./answer.ts";
import { Client, isPinned, type Peer, peerOf } from "./client.ts";
import { type Share, Turns } from "./shares.ts";

/** Connections that may wait to be accepted; the prototype's 0 makes clients block in bursts. */
const BACKLOG = 1024;
/** A connection that sends nothing for this long is closed, ms. */
const IDLE_MS = 10_000;
/** For so long nobody else can have got the pid of who has just been looked at, ms. */
const FRESH_MS = 1;
/** Requests are served for this long before the daemon looks for new ones, ms. */
const TURN_MS = 5;
/** How long to stop accepting when the kernel has no descriptor left, ms. */
const PAUSE_MS = 50;
/** Send buffer for replies longer than the kernel's default, bytes. */
const BIG_REPLY_BYTES = 100_000;

/** Serves one request. A handler that does not wait returns no promise. */
export type Handler = (client: Client, request: Uint8Array) => Outcome | Promise<Outcome>;

/** A request that waits for its turn. */
interface Received {
  readonly socket: SeqSocket;
  readonly peer: Peer;
  readonly packet: Uint8Array;
  /** When who it is was looked at, the packet being there, ms; undefined: earlier. */
  readonly freshMs: number | undefined;
}

/** See the file's comment. */
export class Server {
  readonly #log: Logger;
  readonly #handler: Handler;
  readonly #listener: SeqListener;
  #watch: Watch | undefined;
  /** Connections by user. */
  readonly connections: Share;
  readonly #uids = new Map<SeqSocket, number>();
  /** Connections that say nothing, oldest first, and since when. */
  readonly #idle = new Map<SeqSocket, number>();
  /** Connections that had a reply and may ask again, and their processes where the kernel gives a descriptor of them. */
  readonly #kept = new Map<SeqSocket, Fd | undefined>();
  /** Connections whose request waits or is being served. */
  readonly #busy = new Set<SeqSocket>();
  readonly #turns = new Turns<Received>();
  #serving = false;
  /** Whether the kernel says later, too, who connected; seen with the first connection. */
  #pins: boolean | undefined;
  /** Calls the next turn of {@linkcode #serve} off. */
  #next: (() => void) | undefined;
  #sweep: ReturnType<typeof setInterval> | undefined;
  #pause: ReturnType<typeof setTimeout> | undefined;

  /** Binds the socket and serves at once. Throws `SysError`. */
  constructor(
    instance: Instance,
    mode: number,
    log: Logger,
    handler: Handler,
    connections: Share,
    /** Whose share a user's connections count to: 0 for root and the owner of the node. */
    readonly shareOf: (uid: number) => number,
  ) {
    this.#log = log;
    this.#handler = handler;
    this.connections = connections;
    this.#listener = SeqListener.listen(irmSocketPath(instance), mode, BACKLOG);
    this.#listen();
    this.#sweep = setInterval(() => this.#closeIdle(performance.now() - IDLE_MS), IDLE_MS / 4);
  }

  /** Requests being served. */
  get busy(): number {
    return this.#busy.size;
  }

  #listen(): void {
    this.#watch = this.#listener.onConnection(
      (socket) => this.#connected(socket),
      (e) => this.#acceptFailed(e),
    );
  }

  #acceptFailed(e: unknown): void {
    if (!(e instanceof SysError)) throw e;
    // EMFILE, ENFILE, ENOMEM: make room, or wait for some.
    this.#log.warn(`Cannot accept a connection: ${e.message}.`);
    const oldest = [...this.#idle.keys()].slice(0, 64);
    for (const socket of oldest) this.#drop(socket);
    if (oldest.length > 0) return;
    this.#watch?.close();
    this.#pause = setTimeout(() => this.#listen(), PAUSE_MS);
  }

  #connected(socket: SeqSocket): void {
    let uid: number;
    // Who connected is looked at with the request, so that silent connections cost no more than they must.
    let early: Peer | undefined;
    try {
      ({ uid } = socket.peerCred());
      if (!this.#admit(socket, this.shareOf(uid))) return socket.close();
      this.#pins ??= isPinned(socket);
      if (!this.#pins) early = peerOf(socket);
    } catch (e) {
      return this.#broken(socket, e);
    }
    const first = socket.tryRecv(this.#roomFor(uid));
    if (first !== -Errno.EAGAIN) return this.#received(socket, early, first);
    this.#await(socket, uid, early);
  }

  /** Longest request of a user, bytes: IPCPs of ours run as root or as we do. */
  #roomFor(uid: number): number {
    return uid === 0 || uid === effectiveUid() ? LONG_MESSAGE_BYTES_MAX : MESSAGE_BYTES_MAX;
  }

  /** Leaves a connection open for its next request. */
  #keep(socket: SeqSocket, peer: Peer): void {
    if (!this.#kept.has(socket)) {
      const pidfd = socket.peerPidfd();
      this.#kept.set(socket, typeof pidfd === "number" ? undefined : pidfd);
    }
    this.#await(socket, peer.uid, peer);
  }

  /** Waits for the request of a connection. */
  #await(socket: SeqSocket, uid: number, early: Peer | undefined): void {
    this.#idle.set(socket, performance.now());
    socket.onReadable(() => {
      this.#idle.delete(socket);
      const packet = socket.tryRecv(this.#roomFor(uid));
      // Nobody has to ask again.
      if (this.#kept.has(socket) && !(packet instanceof Uint8Array)) this.#close(socket);
      else this.#received(socket, early, packet);
    });
  }

  /** Whether the user may have one more connection; a silent one of its own makes room. */
  #admit(socket: SeqSocket, uid: number): boolean {
    if (!this.connections.allows(uid)) {
      const oldest = this.connections.heldBy(uid) > 0 ? this.#oldestIdle(uid) : undefined;
      if (oldest !== undefined) this.#drop(oldest);
    }
    if (!this.connections.take(uid)) {
      this.#log.warn(`A connection of uid ${uid} is refused: it has its share.`);
      return false;
    }
    this.#uids.set(socket, uid);
    return true;
  }

  #oldestIdle(uid: number): SeqSocket | undefined {
    for (const socket of this.#idle.keys()) if (this.#uids.get(socket) === uid) return socket;
    return undefined;
  }

  #close(socket: SeqSocket): void {
    const uid = this.#uids.get(socket);
    if (this.#uids.delete(socket)) this.connections.give(uid!);
    this.#kept.get(socket)?.close();
    this.#kept.delete(socket);
    socket.close();
  }

  #received(
    socket: SeqSocket,
    early: Peer | undefined,
    packet: Uint8Array | null | number,
  ): void {
    if (packet === null || typeof packet === "number") {
      this.#log.error("Failed to read from socket.");
      this.#close(socket);
      return;
    }
    let peer: Peer;
    try {
      peer = early ?? peerOf(socket);
    } catch (e) {
      return this.#broken(socket, e);
    }
    this.#busy.add(socket);
    const freshMs = early === undefined ? performance.now() : undefined;
    this.#turns.push(this.shareOf(peer.uid), { socket, peer, packet, freshMs });
    if (this.#serving) return;
    this.#serving = true;
    // What else has come in this turn of the loop is there by then.
    queueMicrotask(() => this.#serve());
  }

  #serve(): void {
    const endMs = performance.now() + TURN_MS;
    for (let r = this.#turns.next(); r !== undefined; r = this.#turns.next()) {
      if (!r.socket.fd.closed) this.#handle(r);
      if (performance.now() < endMs || this.#turns.length === 0) continue;
      // Sooner than a timer of the runtime, whose least is 1 ms, and what has come meanwhile is read first.
      this.#next = EventSource.get().after(0, () => this.#serve());
      return;
    }
    this.#serving = false;
  }

  #handle({ socket, peer, packet, freshMs }: Received): void {
    let client: Client;
    let outcome: Outcome | Promise<Outcome>;
    try {
      const fresh = freshMs !== undefined && performance.now() - freshMs < FRESH_MS;
      client = new Client(socket, peer, fresh, this.#kept.get(socket));
      outcome = this.#handler(client, packet);
    } catch (e) {
      return this.#broken(socket, e);
    }
    if (!(outcome instanceof Promise)) return this.#reply(client, outcome);
    outcome.then(
      (o) => this.#reply(client, o),
      (e) => this.#broken(socket, e),
    );
  }

  #reply(client: Client, outcome: Outcome): void {
    const { socket } = client;
    this.#busy.delete(socket);
    if (outcome !== undefined) {
      let code = -Errno.EPIPE;
      const keep = client.keep && !this.connections.isTight;
      // A server that is closing has closed it already.
      if (!socket.fd.closed) {
        const { msg } = outcome;
        const opts = (msg.opts ?? 0) | FLOW_KEEP;
        const bytes = encodeIrmMsg(keep ? { ...msg, opts } : msg);
        if (bytes.length > BIG_REPLY_BYTES) socket.setSendBuffer(bytes.length * 2);
        code = socket.trySend(bytes);
        if (outcome.msg.symKey !== undefined) bytes.fill(0);
      }
      outcome.msg.symKey?.fill(0);
      if (code < 0) {
        if (code !== -Errno.EPIPE && code !== -Errno.ECONNRESET) {
          this.#log.warn(`Failed to send a reply: ${errnoText(code)}.`);
        }
        outcome.undelivered?.();
      } else {
        outcome.delivered?.();
        if (keep) return this.#keep(socket, client.cred);
      }
    }
    this.#close(socket);
  }

  /** A defect of ours must cost one request, not the daemon. */
  #broken(socket: SeqSocket, e: unknown): void {
    this.#busy.delete(socket);
    this.#log.error(`Request failed: ${e instanceof Error ? e.message : e}.`);
    if (this.#log.debug && e instanceof Error) this.#log.dbg(e.stack ?? "");
    this.#close(socket);
  }

  #closeIdle(beforeMs: number): void {
    for (const [socket, cameMs] of this.#idle) {
      if (cameMs > beforeMs) break;
      this.#drop(socket);
    }
  }

  /** Closes a connection that is silent: one that says nothing at first, or one that is kept. */
  #drop(socket: SeqSocket): void {
    this.#idle.delete(socket);
    if (!this.#kept.has(socket)) this.#log.error("Failed to read from socket.");
    this.#close(socket);
  }

  /** Stops accepting and closes what is open: pending requests end without reply. Idempotent. */
  close(): void {
    clearInterval(this.#sweep);
    clearTimeout(this.#pause);
    this.#next?.();
    this.#watch?.close();
    this.#listener.close();
    for (const socket of this.#idle.keys()) socket.close();
    this.#idle.clear();
    for (const socket of this.#busy) socket.close();
    for (const pidfd of this.#kept.values()) pidfd?.close();
    this.#kept.clear();
  }
}
