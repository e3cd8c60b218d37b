/**
 * An IPCP's shell in the test's own thread: memory of an instance of its own, an IRMd and data workers that do as the test
 * says, and a clock that it moves. What is mapped must be given back at the end.
 */

import { assertEquals } from "@std/assert";
import { type Arrival, IrmCalls } from "../../ipcp/irm_calls.ts";
import { Standing } from "../../ipcp/standing.ts";
import { Lifecycle } from "../../ipcp/state.ts";
import { DATA_QUEUE, ORDERS_FLOW } from "../../ipcp/data/table.ts";
import type { IpcpContext } from "../../ipcp/type.ts";
import { Errno } from "../../lib/errno.ts";
import { type Instance, instanceOf } from "../../lib/instance.ts";
import { Logger } from "../../lib/log.ts";
import { Mapping } from "../../lib/sys/mman.ts";
import { Patience } from "../../lib/sys/patience.ts";
import { aTurn, PuppetCrew } from "./data_workers.ts";
import { App, IPCP_PID, IpcpMemory } from "./ipcp_memory.ts";
import { seeded } from "./machines.ts";
import { removeShm } from "./shm.ts";

type Call = { [K in keyof IrmCalls]: [call: K, ...args: Parameters<IrmCalls[K]>] }[keyof IrmCalls];

/** What an IPCP says to the IRMd; nothing leaves the test. */
export class MemoryIrm extends IrmCalls {
  /** Everything that was said, since it was asked for last. */
  readonly #said: Call[] = [];
  /** How FLOW_REQ_ARR is answered. */
  onRequest: () => Promise<Arrival> | Arrival = () => REFUSED;
  /** How FLOW_ALLOC_REPLY is answered. */
  replyResult = 0;

  constructor(instance: Instance) {
    super(instance, IPCP_PID);
  }

  said<K extends keyof IrmCalls>(call: K): Parameters<IrmCalls[K]>[] {
    const found = this.#said.filter(([name]) => name === call);
    for (const one of found) this.#said.splice(this.#said.indexOf(one), 1);
    return found.map(([_, ...args]) => args as Parameters<IrmCalls[K]>);
  }

  /** What was said and not looked at. */
  get rest(): string[] {
    return this.#said.map(([call]) => call);
  }

  override announce(...args: Parameters<IrmCalls["announce"]>): void {
    this.#said.push(["announce", ...args]);
  }
  override exit(): void {
    this.#said.push(["exit"]);
  }
  override createR(...args: Parameters<IrmCalls["createR"]>): Promise<undefined> {
    this.#said.push(["createR", ...args]);
    return Promise.resolve(undefined);
  }
  override status(...args: Parameters<IrmCalls["status"]>): Promise<void> {
    this.#said.push(["status", ...args]);
    return Promise.resolve();
  }
  override moved(...args: Parameters<IrmCalls["moved"]>): Promise<void> {
    this.#said.push(["moved", ...args]);
    return Promise.resolve();
  }
  override async flowReqArr(...args: Parameters<IrmCalls["flowReqArr"]>): Promise<Arrival> {
    this.#said.push(["flowReqArr", ...args]);
    return await this.onRequest();
  }
  override flowAllocReply(...args: Parameters<IrmCalls["flowAllocReply"]>): Promise<number> {
    this.#said.push(["flowAllocReply", ...args]);
    return Promise.resolve(this.replyResult);
  }
  override flowDealloc(...args: Parameters<IrmCalls["flowDealloc"]>): Promise<number> {
    this.#said.push(["flowDealloc", ...args]);
    return Promise.resolve(0);
  }
}

/** Nobody takes the flow. */
const REFUSED: Arrival = { result: -Errno.ENAME, cause: "nobody", flowId: -1, pid: -1, uid: 0 };

/** What one IPCP gets from its process, and what it does with it. */
export class MemoryContext implements IpcpContext {
  readonly irm: MemoryIrm;
  readonly life = new Lifecycle();
  /** What it says to the IRMd; of which type it is does not matter here. */
  readonly standing = new Standing((line) => void this.irm.status(0, this.name, line));
  /** The clock; undefined: the machine's. */
  us: number | undefined = 1e6;
  /** Lines of the log, with their level. */
  readonly lines: string[] = [];
  readonly log = new Logger((level, _, text) => this.lines.push(`${level} ${text}`), "t", true);
  /** Why it could not go on. */
  readonly fatals: string[] = [];
  /** How many workers there were each time that threads gave up what they had. */
  readonly confined: number[] = [];
  readonly random: () => number;

  constructor(
    readonly instance: Instance,
    readonly crew: PuppetCrew,
    readonly pid = IPCP_PID,
    readonly name = "i",
  ) {
    this.irm = new MemoryIrm(instance);
    this.random = seeded(pid);
  }

  nowUs = (): number => this.us ?? performance.now() * 1000;
  confine(): void {
    this.confined.push(this.crew.workers.length);
  }
  fatal(why: string): void {
    this.fatals.push(why);
  }
}

/** See the head of this file. */
export class MemoryIpcp {
  readonly instance = instanceOf(`/tmp/ouro-ipcp-test-${crypto.randomUUID()}`);
  readonly crew = new PuppetCrew();
  readonly context = new MemoryContext(this.instance, this.crew);
  readonly irm = this.context.irm;
  readonly lines = this.context.lines;
  readonly fatal = this.context.fatals;
  readonly confined = this.context.confined;
  readonly #undo: (() => void)[] = [];
  readonly defer = (f: () => void): void => void this.#undo.push(f);
  readonly memory: IpcpMemory;

  constructor(uids: number[] = []) {
    this.memory = new IpcpMemory(this.instance, uids, this.defer);
    this.memory.set.del(DATA_QUEUE, ORDERS_FLOW); // The data plane does that itself.
  }

  get nowUs(): number {
    return this.context.nowUs();
  }

  /** A process above. */
  app(pid: number, uid = 0): App {
    return new App(this.instance, pid, uid, this.memory.set, this.defer);
  }

  close(): void {
    this.crew[Symbol.dispose]();
    for (const f of this.#undo.reverse()) f();
    removeShm(this.instance);
  }
}

/** A test of a shell; `use` stops what it starts. */
export function shellTest(
  name: string,
  use: (world: MemoryIpcp) => Promise<void>,
  uids: number[] = [],
): void {
  Deno.test(name, async () => {
    const before = Mapping.live;
    const { limitNs } = Patience;
    const world = new MemoryIpcp(uids);
    try {
      await use(world);
      await aTurn();
    } finally {
      world.close();
      // An IPCP has less patience with its users than a test has.
      Patience.limitNs = limitNs;
    }
    assertEquals([Mapping.live, world.fatal], [before, []]);
  });
}
