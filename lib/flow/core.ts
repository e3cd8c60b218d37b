/**
 * What the parts of one flow share: its memory, its options and how far it has come. It does nothing by itself: what
 * writes, reads, hears, ends and streams are parts of their own that take this core (`parts.ts` puts them together).
 */

import { Errno } from "../errno.ts";
import { FrctFlag } from "../frct/mod.ts";
import type { FlowInfo } from "../irm/messages.ts";
import { Acl, FlowEvent } from "../shm/layout.ts";
import type { Pool } from "../shm/pool.ts";
import type { RingReader } from "../shm/ring_reader.ts";
import { monotonicNs } from "../sys/clock.ts";
import { FLOW_FLAGS_DEFAULT, FlowFlag } from "./flags.ts";
import type { FrctDriver } from "./frct_driver.ts";
import type { MessageLimits } from "./message_limit.ts";
import type { CallOptions, FlowAbout } from "./options.ts";
import type { FlowCounters, Outlet } from "./outlet.ts";
import type { ProcessParts } from "./process_parts.ts";
import type { Protection } from "./protection.ts";
import type { Rings } from "./rings.ts";

/** Refused calls between two looks at the deadlines, less one: a busy loop makes them in about 10 µs. */
const IDLE_CALLS_MASK = 0xff;

/** What a core is made of. */
export interface CoreParts {
  readonly process: ProcessParts;
  readonly rings: Rings;
  /** The one reader of the receive ring. */
  readonly reader: RingReader;
  readonly info: FlowInfo;
  readonly fd: number;
  readonly outlet: Outlet;
  /** The reliable or ordered part; null on raw flows. */
  readonly frct: FrctDriver | null;
  /** CRC and encryption; null when there is neither. */
  readonly protection: Protection | null;
  readonly limits: MessageLimits;
}

/** See the head of this file. */
export class FlowCore {
  readonly process: ProcessParts;
  readonly pool: Pool;
  readonly rings: Rings;
  readonly info: FlowInfo;
  readonly id: number;
  readonly fd: number;
  readonly outlet: Outlet;
  readonly counters: FlowCounters;
  readonly frct: FrctDriver | null;
  readonly protection: Protection | null;
  /** No FRCT, CRC or cipher: the short way. */
  readonly plain: boolean;
  readonly #limits: MessageLimits;
  /** The one reader of the receive ring. */
  readonly reader: RingReader;

  /** What it is for. */
  about: FlowAbout = { accepted: false };

  // Options.
  flags: number = FLOW_FLAGS_DEFAULT;
  rcvTimeoutMs: number | undefined = undefined;
  sndTimeoutMs: number | undefined = undefined;
  endMark = false;
  lingerMs: number | undefined = undefined;

  // How far it has come.
  /** Closed here. */
  over = false;
  /** The peer said that it sends no more; see `closeWrite`. */
  peerDone = false;
  /** We said so. */
  writesDone = false;

  #idleCalls = 0;
  /** We set the down bit ourselves; one that the peer set is never cleared (spec 30 §13). */
  #userDown = false;

  constructor(parts: CoreParts) {
    const { process, rings, info, fd, outlet, frct, protection } = parts;
    this.process = process;
    this.pool = process.pool;
    this.rings = rings;
    this.info = info;
    this.id = info.id;
    this.fd = fd;
    this.outlet = outlet;
    this.counters = outlet.counters;
    this.frct = frct;
    this.protection = protection;
    this.plain = frct === null && protection === null;
    this.#limits = parts.limits;
    this.reader = parts.reader;
  }

  /** How long messages may be now. */
  get limits(): MessageLimits {
    this.#limits.follow(this.rings.tx.packetBytesMax());
    return this.#limits;
  }
  get messageBytesMax(): number {
    return this.limits.messageBytesMax;
  }

  /** Whether everything that is written arrives, in order (FRCT with retransmission). */
  get isReliable(): boolean {
    return this.frct !== null && (this.frct.endpoint.flags & FrctFlag.Rtx) !== 0;
  }

  /** Whether the other side closed the flow or timed out, whatever can still be read. */
  hasEnded(): boolean {
    return this.over || (this.rings.rx.acl() & (Acl.FLOWDOWN | Acl.FLOWPEER)) !== 0;
  }

  /** Packets waiting in the receive ring. */
  get rxQueued(): number {
    return this.over ? 0 : this.rings.rx.queued();
  }

  /** Packets waiting in the receive ring of the peer. */
  get txQueued(): number {
    return this.over ? 0 : this.rings.tx.queued();
  }

  /** Whether a call returns -EAGAIN instead of waiting. */
  noBlock(options: CallOptions | undefined, flag: number): boolean {
    return options?.nonblock ?? ((this.flags & flag) !== 0);
  }

  /**
   * -EAGAIN. A caller that tries again and again without going back to its event loop would starve the deadlines
   * (keepalive, retransmission): every so many tries runs them.
   */
  wouldWait(): number {
    if ((++this.#idleCalls & IDLE_CALLS_MASK) === 0) this.process.deadlines.tick(monotonicNs());
    return -Errno.EAGAIN;
  }

  /** Replaces the flags; `FlowFlag.Down` marks both rings, or takes our mark back, and tells the other side. */
  setFlags(flags: number): void {
    if (this.over) return;
    this.flags = flags & 0xffff;
    const { rx, tx, peerSet } = this.rings;
    if ((flags & FlowFlag.Down) !== 0) {
      rx.setAcl(Acl.FLOWDOWN);
      tx.setAcl(Acl.FLOWDOWN);
      this.#userDown = true;
      peerSet.notify(this.id, FlowEvent.DOWN);
    } else if (this.#userDown) {
      rx.clearAcl(Acl.FLOWDOWN);
      tx.clearAcl(Acl.FLOWDOWN);
      this.#userDown = false;
      peerSet.notify(this.id, FlowEvent.UP);
    }
  }
}
