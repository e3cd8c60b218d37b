/**
 * What a user should know of an IPCP that is in a layer: that policies failed, why it reaches nothing at the moment, that
 * the packets of its flows may not be as long as they were. The one source for its line in `irm ipcp list` and for the RIB. Pure.
 */

import { fixedComponent, type RibComponent } from "../lib/rib/tree.ts";

/** What packets of flows may have, bytes. */
export interface PacketBytes {
  readonly now: number;
  /** As long as nothing below has fallen. */
  readonly full: number;
}

export class Standing {
  readonly #tell: (line: string | undefined) => void;
  #cutOff: string | undefined;
  #policies: readonly string[] = [];
  #packets: PacketBytes | undefined;
  #told: string | undefined;

  /** `tell` is told what there is to say, each time that this is something else; undefined for nothing. */
  constructor(tell: (line: string | undefined) => void) {
    this.#tell = tell;
  }

  /** Why nothing is reached at the moment; undefined if something is, as far as is known here. */
  setCutOff(cutOff: string | undefined): void {
    this.#cutOff = cutOff;
    this.#say();
  }

  /** What is to be said of policies from files that failed, a sentence each, with its full stop. */
  setPolicies(lines: readonly string[]): void {
    this.#policies = lines;
    this.#say();
  }

  /** What the layer carries; undefined if that is not known, or there is no layer any more. */
  setPackets(packets: PacketBytes | undefined): void {
    this.#packets = packets;
    this.#say();
  }

  /** What there is to say. */
  get line(): string | undefined {
    const now: string[] = [];
    if (this.#cutOff !== undefined) now.push(this.#cutOff);
    const packets = this.#packets;
    if (packets !== undefined && packets.now < packets.full) {
      now.push(`packets of flows may have ${packets.now} bytes now, not ${packets.full}`);
    }
    const lines = now.length === 0 ? this.#policies : [...this.#policies, now.join("; ")];
    return lines.length === 0 ? undefined : lines.join(" ");
  }

  #say(): void {
    const { line } = this;
    if (line === this.#told) return;
    this.#told = line;
    this.#tell(line);
  }

  /** The component `packets`, where their size is known. */
  rib(): RibComponent[] {
    const packets = this.#packets;
    if (packets === undefined) return [];
    const bytes = () => ({
      values: { now: packets.now, full: packets.full },
      text: `${packets.now}\n${packets.full}\n`,
    });
    return [fixedComponent("packets", { bytes })];
  }
}
