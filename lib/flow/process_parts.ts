/**
 * What the flows of one thread of a process stand on (spec 30 §3): the pool and the flow set in shared memory, the
 * thread's table of flows, their deadlines, its queues and waiter, and the way to the IRMd. `OuroProcess` is what
 * programs see of it.
 */

import { hurry } from "../hurry.ts";
import type { Instance } from "../instance.ts";
import {
  type Conversation,
  irmConverse,
  irmHold,
  irmRequest,
  irmRequestSync,
} from "../irm/client.ts";
import { KeptConnections } from "../irm/kept.ts";
import type { IrmMsg } from "../irm/messages.ts";
import { BlockCache } from "../shm/block_cache.ts";
import type { FlowSetShm } from "../shm/flow_set.ts";
import { FrctFile } from "../shm/frct_file.ts";
import type { Pool } from "../shm/pool.ts";
import { Deadlines } from "./deadlines.ts";
import { FlowTable } from "./flow_table.ts";
import { Queues } from "./queues.ts";
import { PeerSets } from "./rings.ts";
import { type Held, ThreadLife } from "./thread_life.ts";

/** The way to the IRMd. */
export interface IrmdLink {
  /** Gives up after `timeoutMs`; absent: never. */
  requestSync(message: IrmMsg, timeoutMs?: number): IrmMsg;
  request(message: IrmMsg, signal?: AbortSignal): Promise<IrmMsg>;
  /** A request whose reply comes after a question of the IRMd. A double may do without. */
  converse?(message: IrmMsg, signal?: AbortSignal): Promise<Conversation>;
  /** Sends a message without answer whose connection stays open. A double may do without. */
  hold?(message: IrmMsg): Held;
  /** Aborts when the process is told to end, and waits for answers no longer. A double may do without. */
  readonly hurry?: AbortSignal;
  /** Nothing more is asked. A double may do without. */
  close?(): void;
}

/** Longest wait for the IRMd's answer of who ends, ms. */
const FAREWELL_MS = 60;

/** The socket of the IRMd of an instance. */
export function socketLink(instance: Instance): IrmdLink {
  // What a Worker leaves open when it is terminated nobody closes.
  const kept = (Deno.mainModule as string | undefined) === undefined
    ? undefined
    : new KeptConnections();
  return {
    requestSync: (message, timeoutMs) => irmRequestSync(instance, message, { timeoutMs, kept }),
    request: (message, signal) => irmRequest(instance, message, { signal, kept }),
    converse: (message, signal) => irmConverse(instance, message, signal),
    hold: (message) => irmHold(instance, message),
    hurry,
    close: () => kept?.close(),
  };
}

/** What a process is opened with. */
export interface ProcessMemory {
  readonly instance: Instance;
  readonly pid: number;
  /** Flow uid: 0 for the global pool. */
  readonly uid: number;
  readonly pool: Pool;
  /** The process's own flow set. */
  readonly set: FlowSetShm;
  /** What the threads share about each other, see `ThreadWords`. */
  readonly words: Int32Array<SharedArrayBuffer>;
  /** This thread announced the process. */
  readonly first: boolean;
}

/** See the head of this file. */
export class ProcessParts {
  readonly instance: Instance;
  readonly pid: number;
  readonly uid: number;
  readonly pool: Pool;
  readonly set: FlowSetShm;
  readonly words: Int32Array<SharedArrayBuffer>;
  /** Where flows take blocks for packets they send. */
  readonly blocks: BlockCache;
  /** Peers' flow sets. */
  readonly peerSets: PeerSets;
  readonly table: FlowTable = new FlowTable();
  readonly queues: Queues;
  readonly deadlines: Deadlines;
  /** Where flows with FRCT say how they are; undefined where no RIB is shown. */
  readonly frctFile: FrctFile | undefined;
  readonly #life: ThreadLife | undefined;

  constructor(memory: ProcessMemory, private readonly link: IrmdLink) {
    const { instance, pid, uid, pool, set, words, first } = memory;
    this.instance = instance;
    this.pid = pid;
    this.uid = uid;
    this.pool = pool;
    this.set = set;
    this.words = words;
    this.blocks = new BlockCache(pool);
    this.peerSets = new PeerSets(instance);
    const of = { prefix: instance.prefix, pid };
    this.queues = new Queues(of, set, words, first, this.table);
    this.deadlines = new Deadlines(this.queues);
    this.frctFile = FrctFile.open(instance, pid);
    const { hold } = link;
    this.#life = hold === undefined ? undefined : ThreadLife.of(of, words, first, hold);
  }

  /** Number of this thread, where the IRMd watches it. */
  get thread(): number | undefined {
    return this.#life?.number;
  }

  /** Whether the process was told to end: nobody who may be slow is waited for. */
  get hurried(): boolean {
    return this.link.hurry?.aborted ?? false;
  }

  /** Longest wait for the IRMd's answer of who ends, ms: it reads what it was told when it goes on. */
  get farewellMs(): number {
    return this.hurried ? 0 : FAREWELL_MS;
  }

  /** A request to the IRMd, blocking, `timeoutMs` at most. Throws `OuroError` when there is no answer. */
  requestSync(message: IrmMsg, timeoutMs?: number): IrmMsg {
    return this.link.requestSync(message, timeoutMs);
  }

  /** A request to the IRMd. Rejects with `OuroError`, or the signal's reason. */
  request(message: IrmMsg, signal?: AbortSignal): Promise<IrmMsg> {
    return this.link.request(message, signal);
  }

  /** As {@linkcode IrmdLink.converse}; where the link cannot, the first reply is the only one. */
  async converse(message: IrmMsg, signal?: AbortSignal): Promise<Conversation> {
    if (this.link.converse !== undefined) return await this.link.converse(message, signal);
    const said = await this.link.request(message, signal);
    return { said, answer: (m) => this.link.request(m), close: () => {} };
  }

  /** Closes all flows without lingering; `farewell` is said before the memory is unmapped. */
  close(farewell: () => void): void {
    this.deadlines.close();
    this.queues.stop();
    let limitMs = this.farewellMs;
    for (const flow of [...this.table]) {
      const startMs = performance.now();
      flow.abandon(limitMs);
      // One that gave no answer to the first gives none to the others.
      if (performance.now() - startMs >= limitMs) limitMs = 0;
    }
    this.queues.close();
    this.peerSets.close();
    this.blocks.close();
    this.frctFile?.[Symbol.dispose]();
    farewell();
    this.link.close?.();
    this.#life?.release();
    this.set.close();
    this.pool.close();
  }
}
