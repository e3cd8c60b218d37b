/**
 * One end of a flow, put together (spec 30 §5): a core, and what writes, reads, hears, and ends, each a part of its own.
 * `Flow` is what programs see of it, `BlockFlow` what IPCPs do.
 */

import { PacketCipher } from "../crypt/mod.ts";
import { Errno, OuroError } from "../errno.ts";
import { type FlowInfo, type FlowLosses, sduLimitsOf } from "../irm/messages.ts";
import { withJson } from "../qos.ts";
import { RingReader } from "../shm/ring_reader.ts";
import { SysError } from "../sys/ffi.ts";
import { AsyncReader } from "./async_reader.ts";
import { AsyncWriter } from "./async_writer.ts";
import { FlowCore } from "./core.ts";
import { Ending } from "./ending.ts";
import { FlowEvents } from "./events.ts";
import type { OwnedFlow } from "./flow_table.ts";
import { FrctDriver } from "./frct_driver.ts";
import { FrctShow } from "./frct_show.ts";
import { giveBackSync, wipeGrant } from "./grant.ts";
import { InPlace } from "./in_place.ts";
import { type FlowGrant, grantProblem, lossesRequest, resultOf } from "./irmd.ts";
import { Keepalive } from "./keepalive.ts";
import { limited } from "./limited.ts";
import { MessageLimits } from "./message_limit.ts";
import type { AsyncCallOptions, SharedFlow } from "./options.ts";
import { Outlet } from "./outlet.ts";
import { PacketWait } from "./packet_wait.ts";
import type { ProcessParts } from "./process_parts.ts";
import { Protection } from "./protection.ts";
import { Reader } from "./reader.ts";
import { Rings } from "./rings.ts";
import { Writer } from "./writer.ts";

/** Why a process gets no more flows. */
export const NO_DESCRIPTOR = "all flow descriptors of the process are in use";

/** See the head of this file. */
export class FlowParts implements OwnedFlow {
  readonly events: FlowEvents;
  readonly reader: Reader;
  readonly writer: Writer;
  readonly inPlace: InPlace;
  readonly ending: Ending;
  readonly asyncReader: AsyncReader;
  readonly asyncWriter: AsyncWriter;

  private constructor(readonly core: FlowCore, keepalive: Keepalive | null) {
    const wait = new PacketWait(core);
    this.events = new FlowEvents(core, keepalive);
    this.reader = new Reader(core, this.events, wait);
    this.writer = new Writer(core, this.events, wait);
    this.inPlace = new InPlace(core, this.reader, this.writer, wait);
    this.ending = new Ending(core, this.events);
    this.asyncReader = new AsyncReader(core, this.events, this.reader);
    this.asyncWriter = new AsyncWriter(core, this.events, this.writer);
    core.process.table.enter(this);
  }

  /**
   * Opens our end of a granted flow in this thread, which owns it from now on. Wipes the grant's key; gives the flow
   * back to the IRMd and throws `OuroError` when it can't be opened.
   */
  static open(
    process: ProcessParts,
    grant: FlowGrant,
    options: { lingerMs?: number | undefined },
  ): FlowParts {
    try {
      const problem = grantProblem(grant);
      if (problem < 0) throw new OuroError(problem, "Cannot use the flow: bad key from the IRMd");
      const fd = freeFd(process, "Cannot use the flow");
      const cipher = grant.cipherNid === 0
        ? null
        : cipherOf(PacketCipher.create(grant.cipherNid, grant.symKey));
      const parts = FlowParts.#openEnd(process, grant.info, cipher, fd);
      parts.core.about = grant.about;
      parts.core.lingerMs = options.lingerMs;
      return parts;
    } catch (e) {
      const { id, nPid, n1Pid } = grant.info;
      Rings.tellEnd(process.instance, process.peerSets, nPid, n1Pid, id);
      giveBackSync(process, id);
      throw e;
    } finally {
      wipeGrant(grant);
    }
  }

  /** Uses a flow that another thread of the process shared or handed over. Throws `OuroError`. */
  static attach(process: ProcessParts, shared: SharedFlow): FlowParts {
    const { cipher: state, info } = shared;
    try {
      const fd = freeFd(process, "Cannot attach");
      const cipher = state === undefined ? null : cipherOf(PacketCipher.fromState(state));
      const timeout = shared.whole === true ? info.qos.timeout : 0;
      const own = { ...info, qos: { ...info.qos, timeout } };
      const parts = FlowParts.#openEnd(process, own, cipher, fd);
      if (shared.about !== undefined) parts.core.about = shared.about;
      return parts;
    } finally {
      state?.fill(0);
    }
  }

  static #openEnd(
    process: ProcessParts,
    info: FlowInfo,
    cipher: PacketCipher | null,
    fd: number,
  ): FlowParts {
    const { id, nPid, n1Pid } = info;
    let rings: Rings;
    try {
      rings = Rings.open(process.instance, process.peerSets, nPid, n1Pid, id);
    } catch (e) {
      cipher?.wipe();
      if (!(e instanceof SysError)) throw e;
      // The IRMd removes it with the flow: at once when the other end dies.
      const cause = e.errno === Errno.ENOENT ? "the flow ended before it was opened" : e.message;
      throw new OuroError(-Errno.ENOMEM, "Cannot open the flow's memory", {
        stage: "open",
        process: "flow library",
        cause,
      });
    }
    try {
      return FlowParts.#make(process, rings, info, cipher, fd);
    } catch (e) {
      cipher?.wipe();
      rings.close();
      throw e;
    }
  }

  static #make(
    process: ProcessParts,
    rings: Rings,
    info: FlowInfo,
    cipher: PacketCipher | null,
    fd: number,
  ): FlowParts {
    const { blocks, pool } = process;
    const qos = withJson(info.qos);
    const crc = qos.ber === 0;
    const layers = new Protection(pool, crc, cipher);
    const protection = crc || cipher !== null ? layers : null;
    const outlet = new Outlet(pool, blocks, rings, protection, info.id);
    const file = qos.inOrder === 0 ? undefined : process.frctFile;
    const show = file === undefined ? null : new FrctShow(file, info.id, fd);
    const reader = new RingReader(rings.rx, pool);
    const frct = qos.inOrder === 0
      ? null
      : new FrctDriver(pool, reader, outlet, layers, qos.loss === 0, info.mpl, show);
    const overhead = layers.overheadBytes + (frct?.endpoint.headerBytes ?? 0);
    const sdu = sduLimitsOf(info);
    // Direct flows have an MPL of 1 ms, all layers more (spec 30 §5.2).
    const direct = info.mpl <= 1;
    const limits = new MessageLimits(pool.payloadBytesMax, overhead, sdu, direct);
    const keepalive = qos.timeout > 0
      ? new Keepalive(qos.timeout, rings, process, info.id, outlet)
      : null;
    const core = new FlowCore({
      process,
      rings,
      reader,
      info,
      fd,
      outlet,
      frct,
      protection,
      limits,
    });
    return new FlowParts(core, keepalive);
  }

  /** Says that no more is written, and waits until the peer has all of it; see `Flow.closeWrite`. */
  async closeWrite(signal: AbortSignal | undefined): Promise<void> {
    await this.asyncWriter.sayEnd(signal);
    await this.ending.acknowledged(signal);
  }

  /** What the IPCP below dropped of the flow; see `Flow.lossesBelow`. */
  async lossesBelow(options: AsyncCallOptions): Promise<FlowLosses | undefined> {
    const { id, over, process } = this.core;
    const action = "Cannot ask what was lost";
    if (over) throw new OuroError(-Errno.ENOTALLOC, action);
    const request = lossesRequest(process.pid, id);
    const reply = await limited(options, action, (signal) => process.request(request, signal));
    const result = resultOf(reply);
    // An IRMd of the prototype does not know the question.
    if (result === -Errno.EPERM) return undefined;
    if (result !== 0) throw new OuroError(result, action, reply.error);
    return reply.losses;
  }

  /** What another thread needs to use the flow beside this one. Throws `OuroError` -ENOTSUP unless raw and plain. */
  share(): SharedFlow {
    if (!this.core.plain) {
      throw new OuroError(-Errno.ENOTSUP, "Cannot share a flow with FRCT, CRC or encryption");
    }
    return { info: this.core.info, about: this.core.about };
  }

  /**
   * Gives the flow to another thread of the process, which attaches it: this thread's use ends, the flow
   * lives on, its cipher in the state it is in. Throws `OuroError` -ENOTSUP with FRCT.
   */
  handOver(): SharedFlow {
    const { about, frct, info, protection } = this.core;
    if (frct !== null) {
      throw new OuroError(-Errno.ENOTSUP, "Cannot hand over a flow with FRCT");
    }
    const cipher = protection?.takeCipherState();
    this.ending.forget();
    return { info, about, whole: true, ...(cipher ? { cipher } : {}) };
  }

  abandon(limitMs?: number): void {
    this.ending.abandon(limitMs);
  }
}

/** A place for a flow in the process's table. Throws `OuroError` -EMFILE. */
export function freeFd(process: ProcessParts, action: string): number {
  const fd = process.table.freeFd();
  if (fd >= 0) return fd;
  throw noDescriptor(action);
}

/** The error of a process that has no place for a flow. */
export function noDescriptor(action: string): OuroError {
  const detail = { stage: "open", process: "flow library", cause: NO_DESCRIPTOR };
  return new OuroError(-Errno.EMFILE, action, detail);
}

function cipherOf(made: PacketCipher | number): PacketCipher {
  if (typeof made !== "number") return made;
  throw new OuroError(made, "Cannot encrypt the flow");
}
