/**
 * Members of layers in the test's own thread: their lower flows are real ones over an IRMd in memory, their data workers do
 * what the test says.
 */

import { assertEquals } from "@std/assert";
import type { MemberStart } from "../../ipcp/data/member_worker.ts";
import { type Letter, Mailbox } from "../../ipcp/data/mailbox.ts";
import { Counter, DATA_QUEUE } from "../../ipcp/data/table.ts";
import type { IpcpType } from "../../ipcp/type.ts";
import { instanceOf } from "../../lib/instance.ts";
import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { Mapping } from "../../lib/sys/mman.ts";
import { Patience } from "../../lib/sys/patience.ts";
import { aTurn, PuppetCrew, type PuppetWorker } from "./data_workers.ts";
import { until } from "./deadline.ts";
import { App, IPCP_PID } from "./ipcp_memory.ts";
import { MemoryContext } from "./memory_ipcp.ts";
import { FakeIrmd } from "./memory_irmd.ts";

/** One member; the name is its process's in the layer below. */
export class MemberNode<T extends IpcpType> {
  readonly context: MemoryContext;
  readonly ipcp: T;
  readonly irm: MemoryContext["irm"];
  readonly #mailboxes = new Map<PuppetWorker, Mailbox>();

  constructor(
    readonly world: MemberWorld<T>,
    readonly name: string,
    readonly pid: number,
    make: (context: MemoryContext) => T,
  ) {
    world.irmd.announce(pid);
    world.irmd.names.set(name, pid);
    this.context = new MemoryContext(world.irmd.instance, world.crew, pid, name);
    this.context.us = undefined;
    this.irm = this.context.irm;
    this.ipcp = make(this.context);
  }

  /** The data worker that it has started last. */
  get worker(): PuppetWorker {
    const mine = this.world.crew.workers.filter(({ init }) => init?.pid === this.pid);
    return mine.at(-1)!;
  }

  /** What the worker got from the member. */
  start<S extends MemberStart>(): S {
    return this.worker.init!.extra as S;
  }

  /** Letters to the worker since they were read last. */
  letters(): Letter[] {
    const { worker } = this;
    let box = this.#mailboxes.get(worker);
    if (box === undefined) {
      this.#mailboxes.set(worker, box = new Mailbox(this.start().mailbox));
    }
    const seen: Letter[] = [];
    for (;;) {
      const letter: Letter = { kind: 0, b: 0, c: 0, bytes: new Uint8Array(0) };
      if (!box.take(letter)) return seen;
      seen.push({ ...letter, bytes: letter.bytes.slice() });
    }
  }

  /** Waits for letters, as many as `enough` wants. */
  async mail(what: string, enough: (letters: Letter[]) => boolean): Promise<Letter[]> {
    const all: Letter[] = [];
    await until(`${this.name}: ${what}`, () => {
      all.push(...this.letters());
      return enough(all);
    });
    return all;
  }

  /** The worker has a message for the main thread. */
  tell(from: Uint8Array, bytes: Uint8Array): void {
    const counters = new Int32Array(this.worker.init!.counters);
    counters[Counter.mgmtPending]! += 1;
    this.worker.say({ say: "mgmt", from, bytes });
  }
}

/** Where they live. */
export class MemberWorld<T extends IpcpType> {
  readonly crew = new PuppetCrew();
  readonly #prefix = Deno.makeTempDirSync({ prefix: "ouro-member-" });
  readonly irmd = new FakeIrmd(instanceOf(this.#prefix));
  readonly a: MemberNode<T>;
  readonly b: MemberNode<T>;
  readonly #undo: (() => void)[] = [];
  readonly defer = (f: () => void): void => void this.#undo.push(f);

  constructor(make: (context: MemoryContext) => T) {
    this.irmd.listen();
    this.a = new MemberNode(this, "a", IPCP_PID, make);
    this.b = new MemberNode(this, "b", IPCP_PID + 1, make);
  }

  /** A process above a. */
  app(pid: number): App {
    const set = FlowSetShm.open(this.irmd.instance, IPCP_PID);
    this.defer(() => set.close());
    this.defer(() => void FlowSetShm.unlink(this.irmd.instance, pid));
    return new App(this.irmd.instance, pid, 0, set, this.defer);
  }

  async stop(node: MemberNode<T>): Promise<void> {
    await this.crew.doing(node.ipcp.stop());
  }

  /** Whether a flow is in the set that the workers of a wait at. */
  isPublished(flowId: number): boolean {
    using set = FlowSetShm.open(this.irmd.instance, IPCP_PID);
    return set.has(DATA_QUEUE, flowId);
  }

  async close(): Promise<void> {
    for (const node of [this.a, this.b]) await this.stop(node);
    for (const f of this.#undo.reverse()) f();
    await until("no acceptor", () => this.irmd.accepting.length === 0);
    await aTurn();
    this.crew[Symbol.dispose]();
    this.irmd[Symbol.dispose]();
    await Deno.remove(this.#prefix, { recursive: true });
  }
}

/** A test of two members. */
export function memberTest<T extends IpcpType>(
  name: string,
  make: (context: MemoryContext) => T,
  use: (world: MemberWorld<T>) => Promise<void>,
): void {
  Deno.test({
    name,
    // The library's waiters and libc are opened once a process.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const before = Mapping.live;
      const { limitNs } = Patience;
      const world = new MemberWorld(make);
      try {
        await use(world);
      } finally {
        await world.close();
        // An IPCP has less patience with its users than a test has.
        Patience.limitNs = limitNs;
      }
      assertEquals(Mapping.live, before);
      for (const { context } of [world.a, world.b]) assertEquals(context.fatals, []);
    },
  });
}
