/**
 * What the data path knows of the Ethernet device below: written by the main thread when it changes, copied by each
 * worker when the generation says so, never seen half-written (the generation is odd while it is written).
 */

import { MAC_BYTES } from "../../../lib/wire/eth_frame.ts";

/** Words. */
const W = { generation: 0, index: 1, macHigh: 2, macLow: 3, payloadMax: 4, words: 5 };

/** What a device is right now. */
export interface DeviceState {
  /** Interface index; another one when the device was removed and made anew. */
  readonly index: number;
  readonly mac: Uint8Array;
  /** Longest payload of a packet, bytes. */
  readonly payloadMax: number;
}

export class SharedDevice {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  #seen = 0;
  /** The copy of {@linkcode refresh}. */
  index = 0;
  readonly mac = new Uint8Array(MAC_BYTES);
  payloadMax = 0;

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(W.words * 4);
    this.#words = new Int32Array(this.buffer);
  }

  /** Publish; one thread does. */
  set({ index, mac, payloadMax }: DeviceState): void {
    const w = this.#words;
    Atomics.add(w, W.generation, 1);
    Atomics.store(w, W.index, index);
    Atomics.store(w, W.macHigh, (mac[0]! << 8) | mac[1]!);
    Atomics.store(w, W.macLow, (mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!);
    Atomics.store(w, W.payloadMax, payloadMax);
    Atomics.add(w, W.generation, 1);
  }

  /** Take over what has changed; while it is being written the copy stays as it is. */
  refresh(): void {
    const w = this.#words;
    const generation = Atomics.load(w, W.generation);
    if (generation === this.#seen || (generation & 1) !== 0) return;
    const index = Atomics.load(w, W.index);
    const payloadMax = Atomics.load(w, W.payloadMax);
    const high = Atomics.load(w, W.macHigh);
    const low = Atomics.load(w, W.macLow);
    if (Atomics.load(w, W.generation) !== generation) return;
    this.#seen = generation;
    this.index = index;
    this.payloadMax = payloadMax;
    const mac = this.mac;
    mac[0] = high >>> 8;
    mac[1] = high;
    mac[2] = low >>> 24;
    mac[3] = low >>> 16;
    mac[4] = low >>> 8;
    mac[5] = low;
  }
}
