/**
 * The own address of a UDP IPCP when the host loses it or gets another one: whether there is anything to reach from,
 * what a person is told, and where the IPCP moves to. Pure.
 *
 * It moves to the only other address of the device that had the old one (a lease that was not renewed), after a grace
 * in which the old one may come back, and back to the address of the bootstrap as soon as that is there and the one in
 * use is not. Of several addresses none is chosen: that is for a person to say.
 */

/** How long an address may be away before another one takes its place, µs. */
export const GRACE_US = 1e6;

/** An address that the host has, as text in the form of ours, and the device that has it. */
export interface HostAddress {
  readonly device: string;
  readonly address: string;
}

export class OwnAddress {
  #address: string;
  readonly #first: string;
  /** The device that has the address, or had it last; undefined when none was seen to have it. */
  #device: string | undefined;
  /** When it was seen to be gone; undefined while it is there. */
  #goneUs: number | undefined;
  #why: string | undefined;

  /** @param address that of the bootstrap */
  constructor(address: string) {
    this.#address = address;
    this.#first = address;
  }

  /** The address in use. */
  get address(): string {
    return this.#address;
  }

  /** Why nothing can be reached, in words for a person; undefined if something can. */
  get why(): string | undefined {
    return this.#why;
  }

  /**
   * Looks at what the host has now. The address to move to, if so: {@linkcode OwnAddress.moved} says that it was done.
   * @param here whether the own address can be used
   */
  look(nowUs: number, here: boolean, host: readonly HostAddress[]): string | undefined {
    const device = host.find(({ address }) => address === this.#address)?.device;
    if (here) {
      this.#device = device ?? this.#device;
      this.#goneUs = undefined;
      this.#why = undefined;
      return undefined;
    }
    this.#goneUs ??= nowUs;
    // One that is there and cannot be used yet (its uniqueness is being checked) is waited for.
    const others = device !== undefined
      ? []
      : host.filter((h) => h.device === this.#device).map(({ address }) => address);
    this.#why = this.#words(others);
    if (host.some(({ address }) => address === this.#first) && device === undefined) {
      return this.#first;
    }
    const isTime = nowUs - this.#goneUs >= GRACE_US;
    return isTime && others.length === 1 ? others[0] : undefined;
  }

  #words(others: readonly string[]): string {
    const gone = `this host has no address ${this.#address} at the moment`;
    if (others.length < 2) return gone;
    return `${gone}, and ${this.#device} has several others (${others.join(", ")}): ` +
      "destroy this IPCP and bootstrap it with one of them";
  }

  /** The IPCP uses that address from now on. */
  moved(address: string): void {
    this.#address = address;
    this.#goneUs = undefined;
    this.#why = undefined;
  }

  /** When to look again, µs; Infinity while nothing is waited for. */
  deadlineUs(nowUs: number): number {
    if (this.#goneUs === undefined) return Infinity;
    const graceUs = this.#goneUs + GRACE_US;
    return graceUs > nowUs ? graceUs : Infinity;
  }
}
