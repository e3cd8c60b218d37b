/**
 * FRCT PCI: protocol control information in front of every packet of a flow with order (spec 31 §1).
 * Pure.
 *
 * Network byte order.
 *
 * | offset | size | field  | meaning |
 * |--------|------|--------|---------|
 * | 0      | 1    | flags  | below |
 * | 1      | 3    | window | low 24 bits of the absolute right window edge of the sender as a receiver |
 * | 4      | 4    | seqno  | of this data packet; with DRF on a bare packet: of the first data to come |
 * | 8      | 4    | ackno  | next seqno expected |
 *
 * Flag 0x80 is unused and the two fragment flags are never sent: a packet with one of them is refused. A field whose
 * flag is absent is 0 on transmission and ignored on reception. A payload needs DATA (and may then be empty). The
 * smallest packet is the header alone; there is no largest here. The empty packet is the keepalive and not FRCT.
 *
 * Ours, on reliable flows: DATA without payload says that no more comes, unless FC is absent and window is
 * {@linkcode EMPTY_MESSAGE}: then it is a message of no bytes. The prototype gives a read of 0 for both.
 */

/** Bytes of the header. */
export const FRCT_PCI_LENGTH = 12;

/** Flag bits of the first byte. */
export const PciFlag = {
  /** A payload is present, seqno is valid. */
  DATA: 0x01,
  /** Data run: nothing is outstanding before this packet. */
  DRF: 0x02,
  /** ackno is valid. */
  ACK: 0x04,
  /** window is valid. */
  FC: 0x08,
  /** Rendez-vous: asks for an FC. */
  RDVS: 0x10,
  /** First fragment; defined, never sent. */
  FFGM: 0x20,
  /** More fragments; defined, never sent. */
  MFGM: 0x40,
} as const;

/** What stands for the window in a packet without FC that carries a message of no bytes. */
export const EMPTY_MESSAGE = 1;

const REFUSED_FLAGS = 0x80 | PciFlag.FFGM | PciFlag.MFGM;
const AT = { flags: 0, window: 1, seqno: 4, ackno: 8 } as const;

/** A header; the caller owns and reuses the record. */
export interface FrctPci {
  /** {@linkcode PciFlag} bits. */
  flags: number;
  /** 24 bits. */
  window: number;
  /** 32 bits, unsigned. */
  seqno: number;
  /** 32 bits, unsigned. */
  ackno: number;
}

/** Why {@linkcode parseFrctPci} refused a packet. */
export const PciError = {
  /** Accepted. */
  None: 0,
  /** Fewer than 12 bytes. */
  Short: 1,
  /** Unused or fragment flags. */
  Flags: 2,
  /** A payload without DATA. */
  Payload: 3,
} as const;

/** A record to parse into. */
export function newFrctPci(): FrctPci {
  return { flags: 0, window: 0, seqno: 0, ackno: 0 };
}

/** Whether a packet with so much payload is a message of no bytes, and not the end of the messages. */
export function isEmptyMessage({ flags, window }: FrctPci, payloadBytes: number): boolean {
  return payloadBytes === 0 && (flags & (PciFlag.DATA | PciFlag.FC)) === PciFlag.DATA &&
    window === EMPTY_MESSAGE;
}

/** Reads the header of the packet `b[at, end)` into `out`. @returns a {@linkcode PciError}, 0 for good */
export function parseFrctPci(b: Uint8Array, at: number, end: number, out: FrctPci): number {
  if (end - at < FRCT_PCI_LENGTH || at < 0 || end > b.length) return PciError.Short;
  const flags = b[at + AT.flags]!;
  if ((flags & REFUSED_FLAGS) !== 0) return PciError.Flags;
  if ((flags & PciFlag.DATA) === 0 && end - at !== FRCT_PCI_LENGTH) return PciError.Payload;
  const w = at + AT.window;
  const s = at + AT.seqno;
  const a = at + AT.ackno;
  out.flags = flags;
  out.window = (b[w]! << 16) | (b[w + 1]! << 8) | b[w + 2]!;
  out.seqno = ((b[s]! << 24) | (b[s + 1]! << 16) | (b[s + 2]! << 8) | b[s + 3]!) >>> 0;
  out.ackno = ((b[a]! << 24) | (b[a + 1]! << 16) | (b[a + 2]! << 8) | b[a + 3]!) >>> 0;
  return PciError.None;
}

/**
 * Writes a header at `out[at]`; only the low 24 bits of `window` and 32 of the others go out.
 * @returns 12, or 0 when there is no room (nothing is written)
 */
export function encodeFrctPci(
  out: Uint8Array,
  at: number,
  flags: number,
  window: number,
  seqno: number,
  ackno: number,
): number {
  if (at < 0 || at + FRCT_PCI_LENGTH > out.length) return 0;
  const w = at + AT.window;
  const s = at + AT.seqno;
  const a = at + AT.ackno;
  out[at + AT.flags] = flags;
  out[w] = window >>> 16;
  out[w + 1] = window >>> 8;
  out[w + 2] = window;
  out[s] = seqno >>> 24;
  out[s + 1] = seqno >>> 16;
  out[s + 2] = seqno >>> 8;
  out[s + 3] = seqno;
  out[a] = ackno >>> 24;
  out[a + 1] = ackno >>> 16;
  out[a + 2] = ackno >>> 8;
  out[a + 3] = ackno;
  return FRCT_PCI_LENGTH;
}

/** One line for a person, for any bytes: `DATA|DRF seq 00000100 +8`. */
export function describeFrct(b: Uint8Array, at = 0, end = b.length): string {
  if (end === at) return "keepalive";
  const pci = newFrctPci();
  const bytes = end - at;
  switch (parseFrctPci(b, at, end, pci)) {
    case PciError.Short:
      return `short packet of ${bytes} bytes`;
    case PciError.Flags:
      return `bad flags 0x${b[at]!.toString(16)}, ${bytes} bytes`;
    case PciError.Payload:
      return `flags 0x${b[at]!.toString(16)} with a payload of ${bytes - FRCT_PCI_LENGTH} bytes`;
  }
  const names = Object.entries(PciFlag).filter(([, bit]) => (pci.flags & bit) !== 0).map(([n]) =>
    n
  );
  let text = names.join("|") || "no flags";
  if ((pci.flags & (PciFlag.DATA | PciFlag.DRF)) !== 0) text += ` seq ${hex(pci.seqno, 8)}`;
  if ((pci.flags & PciFlag.ACK) !== 0) text += ` ack ${hex(pci.ackno, 8)}`;
  if ((pci.flags & PciFlag.FC) !== 0) text += ` window ${hex(pci.window, 6)}`;
  if ((pci.flags & PciFlag.DATA) !== 0) text += ` +${bytes - FRCT_PCI_LENGTH}`;
  if (isEmptyMessage(pci, bytes - FRCT_PCI_LENGTH)) text += " (message)";
  return text;
}

function hex(n: number, digits: number): string {
  return n.toString(16).padStart(digits, "0");
}
