/**
 * Flags and options of a flow, by the prototype's names and numbers (spec 30 §13).
 */

/**
 * Bits of {@linkcode Flow.flags}.
 *
 * @example
 * ```ts
 * import { Errno, Flow, FlowFlag } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * await using flow = await Flow.alloc("echo");
 * flow.setFlags(FlowFlag.RdOnly);
 * assertEquals(flow.writeSync(Uint8Array.of(1)), -Errno.EPERM);
 * ```
 */
export const FlowFlag = {
  /** Access mode, two bits: writes fail with -EPERM when it is RdOnly. */
  RdOnly: 0x0,
  /** Write only; reads are not refused. */
  WrOnly: 0x1,
  /** Read and write. */
  RdWr: 0x2,
  /** The user marked the flow down. */
  Down: 0x4,
  /** Reads that would wait return -EAGAIN. */
  RNoBlock: 0x200,
  /** Writes that would wait return -EAGAIN. */
  WNoBlock: 0x400,
  /** No partial reads: a message longer than the buffer is lost, with -EMSGSIZE. */
  RNoPart: 0x1000,
  /** No effect: writes are never partial. */
  WNoPart: 0x2000,
} as const;

/** Mask of the access mode. */
export const FLOW_ACCESS_MASK = 0x3;
/**
 * Flags of a new flow.
 *
 * @example
 * ```ts
 * import { Flow, FLOW_FLAGS_DEFAULT } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * await using flow = await Flow.alloc("echo");
 * assertEquals(flow.flags, FLOW_FLAGS_DEFAULT);
 * ```
 */
export const FLOW_FLAGS_DEFAULT = FlowFlag.RdWr | FlowFlag.WNoPart;
