/**
 * Packets in place: a block of the pool that the application fills or reads without a copy.
 *
 * A caller makes one {@linkcode Packet} and uses it again and again; `Flow.reserve` and `Flow.receive`
 * set it, `Flow.commit` and `release` give the block away.
 */

import type { Pool } from "../shm/pool.ts";

/**
 * One packet in shared memory, or in private memory for flows whose packets are processed.
 *
 * @example
 * ```ts
 * import { Flow, OuroProcess, Packet } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * using flow = Flow.allocSync(OuroProcess.current(), "echo");
 * using packet = new Packet();
 * flow.writeSync(Uint8Array.of(9, 8));
 * assertEquals(flow.receive(packet, { timeoutMs: 5000 }), 2);
 * assertEquals([...packet.bytes], [9, 8]);
 * packet.release(); // soon: its block is missing to everybody else
 * ```
 */
export class Packet {
  /** Memory that holds the packet at {@linkcode at}, valid until the packet is released. */
  u8: Uint8Array<ArrayBuffer> = EMPTY;
  /** Position of the payload in {@linkcode u8}. */
  at = 0;
  /** Payload bytes. */
  length = 0;
  /** Offset of the block, 0 when there is none to give back. */
  off = 0;
  #pool: Pool | undefined;

  /** The payload as a view; use {@linkcode u8} and {@linkcode at} where that allocation matters. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.u8.subarray(this.at, this.at + this.length);
  }

  /** @internal For the library: points the packet somewhere. */
  point(
    pool: Pool | undefined,
    off: number,
    u8: Uint8Array<ArrayBuffer>,
    at: number,
    length: number,
  ): void {
    this.#pool = pool;
    this.off = off;
    this.u8 = u8;
    this.at = at;
    this.length = length;
  }

  /** Gives the block back. Idempotent; the bytes must not be touched afterwards. */
  release(): void {
    const pool = this.#pool;
    const off = this.off;
    this.#pool = undefined;
    this.off = 0;
    this.u8 = EMPTY;
    this.length = 0;
    if (pool !== undefined && off !== 0) pool.remove(off);
  }

  /** @internal For the library: takes the block's offset out, without giving the block back. */
  takeOff(): number {
    const off = this.off;
    this.#pool = undefined;
    this.off = 0;
    this.u8 = EMPTY;
    return off;
  }

  /** Gives the block back. */
  [Symbol.dispose](): void {
    this.release();
  }
}

const EMPTY = new Uint8Array(0);
