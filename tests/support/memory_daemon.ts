/**
 * An IRMd's insides without processes, sockets and shared memory: the real registry and OAP; children are numbers,
 * IPCPs answer what the test says, rings are names in a list. For tests of the requests one by one.
 */

import type { Client } from "../../irmd/client.ts";
import { Costly } from "../../irmd/costly.ts";
import type { Daemon, DaemonOptions } from "../../irmd/daemon.ts";
import type { IpcpCall, IpcpReply } from "../../irmd/ipcp_client.ts";
import { type Effect, Registry } from "../../irmd/registry/mod.ts";
import { IpcpCode, type IpcpMsg } from "../../lib/irm/messages.ts";
import { Share } from "../../irmd/shares.ts";
import { Logger, nullSink } from "../../lib/log.ts";
import { mock } from "node:test";
import { OapService } from "../../security/oap/mod.ts";
import { SECURITY } from "./registry.ts";

/** What an IPCP was asked. */
export interface Asked {
  readonly pid: number;
  readonly call: IpcpCall;
  readonly msg: IpcpMsg;
  readonly limitMs: number | undefined;
}

/** An IPCP's reply with a result and what else is to be in it. */
export function replied(result: number, fields: Partial<IpcpMsg> = {}): IpcpReply {
  return { kind: "reply", result, msg: { code: IpcpCode.IPCP_REPLY, result, ...fields } };
}

/** See the file's comment. */
export class MemoryDaemon {
  readonly asked: Asked[] = [];
  /** Words of the programs that were started, by pid. */
  readonly started = new Map<number, readonly string[]>();
  /** IPCPs that were started, by pid: type and name. */
  readonly ipcps = new Map<number, readonly [type: number, name: string]>();
  /** Children that have not ended. */
  readonly running = new Set<number>();
  /** Children that were told to end. */
  readonly stopped: number[] = [];
  /** Rings that exist, as `FLOW PID`. */
  readonly rings = new Set<string>();
  /** Effects of the registry that nothing here does. */
  readonly effects: Effect[] = [];
  /** What IPCPs answer. */
  answer: (asked: Asked) => IpcpReply | Promise<IpcpReply> = () => replied(0);
  /** What starting a program gives instead of a pid. */
  cannotStart: string | undefined;
  /** What making rings gives. */
  ringsCode = 0;
  now = 1000;
  readonly d: Daemon;
  readonly #ends = new Map<number, Set<(code: number) => void>>();
  #nextPid = 5_000_000;

  constructor(options: Partial<DaemonOptions> = {}) {
    const log = new Logger(nullSink, "test");
    const registry: Registry = new Registry({ securityDir: SECURITY }, (effects) => {
      for (const e of effects) {
        if (e.kind !== "rings-destroy") this.effects.push(e);
        else for (const pid of e.pids) this.rings.delete(`${e.flowId} ${pid}`);
      }
    });
    // Each member of a daemon is said something of, so that a new one is not forgotten here.
    const parts: Record<keyof Daemon, unknown> = {
      options: {
        toStdout: false,
        direct: true,
        askLayers: false,
        patience: 1,
        totals: {},
        ipcpDir: undefined,
        ownPrograms: [],
        ...options,
      },
      ownUid: 0,
      log,
      ipcpLog: log,
      ipcpClient: {
        patience: 1,
        call: async (pid: number, call: IpcpCall, msg: IpcpMsg, limitMs?: number) => {
          const asked = { pid, call, msg, limitMs };
          this.asked.push(asked);
          return await this.answer(asked);
        },
      },
      registry,
      objects: { makeRings: this.#makeRings.bind(this) },
      // Requests of another daemon of the same test may be older than this one.
      oap: new OapService({ securityDir: SECURITY, log, startedNs: 0n }),
      children: {
        startIpcp: (type: number, name: string) => {
          if (this.cannotStart !== undefined) return this.cannotStart;
          const pid = this.#nextPid++;
          this.ipcps.set(pid, [type, name]);
          this.running.add(pid);
          return pid;
        },
        stop: (pid: number) => this.stopped.push(pid),
        isRunning: (pid: number) => this.running.has(pid),
        startProgram: (argv: readonly string[]) => {
          if (this.cannotStart !== undefined) return this.cannotStart;
          const pid = this.#nextPid++;
          this.started.set(pid, argv);
          return pid;
        },
        stopProgram: (pid: number) => this.stopped.push(pid),
        onEnd: (pid: number, call: (code: number) => void) => {
          const calls = this.#ends.get(pid) ?? new Set();
          this.#ends.set(pid, calls.add(call));
          return () => calls.delete(call);
        },
      },
      costly: new Costly(new Share(64, 0)),
      configuring: false,
      leaving: new Set<number>(),
      // Nothing here needs them.
      instance: undefined,
      shares: undefined,
      upkeep: undefined,
      rib: undefined,
      nowMs: () => this.now,
    };
    this.d = parts as unknown as Daemon;
  }

  /** Lets time pass for who waits. Between {@linkcode withFakeTime}'s braces. */
  async pass(ms: number): Promise<void> {
    await turns();
    this.now += ms;
    mock.timers.tick(ms);
    await turns();
  }

  /** A child ends. */
  end(pid: number, code: number): void {
    this.running.delete(pid);
    const calls = this.#ends.get(pid) ?? [];
    this.#ends.delete(pid);
    for (const call of calls) call(code);
  }

  #makeRings(id: number, nPid: number, n1Pid: number) {
    const names = this.ringsCode < 0 ? [] : [`${id} ${nPid}`, `${id} ${n1Pid}`];
    for (const name of names) this.rings.add(name);
    let handedOver = false;
    return {
      code: this.ringsCode,
      handOver: () => handedOver = true,
      [Symbol.dispose]: () => {
        if (!handedOver) { for (const name of names) this.rings.delete(name); }
      },
    };
  }
}

/** Lets everything that is ready run. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise<void>((done) => setImmediate(done));
}

/** Runs a test whose timers only {@linkcode MemoryDaemon.pass} moves. */
export async function withFakeTime(use: () => Promise<void>): Promise<void> {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    await use();
  } finally {
    mock.timers.reset();
  }
}

/** Somebody who waits for an answer, and may hang up. */
export class WaitingClient {
  gone = false;
  readonly #calls = new Set<() => void>();

  constructor(readonly cred = { pid: 1, uid: 0, gid: 0, startTicks: 1 }) {}

  onHangup(call: () => void): () => void {
    this.#calls.add(call);
    return () => this.#calls.delete(call);
  }

  hangUp(): void {
    this.gone = true;
    for (const call of this.#calls) call();
  }

  /** What it answers to a question on its connection; undefined: it goes. */
  answer: (question: Uint8Array) => Uint8Array | undefined = () => undefined;

  ask(question: Uint8Array): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.answer(question));
  }

  /** Who would be told if this one hung up. */
  get watchers(): number {
    return this.#calls.size;
  }

  get client(): Client {
    return this as unknown as Client;
  }
}
