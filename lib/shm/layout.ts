/**
 * Byte layouts of the shared-memory objects (spec 10 §3.2, §4, §5.1, §6.1), x86_64, little-endian.
 *
 * Everything here is a number fixed by the prototype 0.23. Pools, rbuffs, flow sets and the lockfile
 * of this room are the only code that uses them. Relations between them are asserted once, on first
 * use, and against `vectors/ssm.json` in the tests.
 */

import { FLOW_IDS_MAX, FQUEUES_MAX, RBUFF_SLOTS } from "../limits.ts";
import { COND_BYTES } from "../sys/cond.ts";
import { MUTEX_BYTES } from "../sys/mutex.ts";

/** Bytes in front of and behind a payload in a fresh block (spec 30 §1). */
export const HEAD_SPACE = 256;
export const TAIL_SPACE = 32;

/** Block header, at the start of each block (spec 10 §4.3). */
export const Block = {
  NEXT: 0,
  REFCOUNT: 4,
  PID: 8,
  SIZE: 12,
  HEAD: 16,
  TAIL: 20,
  OFF: 24,
  DATA: 28,
} as const;

/** Bytes of a block that a payload cannot have: header, head space and tail space. */
export const BLOCK_OVERHEAD = Block.DATA + HEAD_SPACE + TAIL_SPACE;

export const SHARDS = 4;
export const CLASSES = 9;

/** Pool header, behind the block area (spec 10 §4.2). */
export const PoolHeader = {
  MUTEX: 0,
  HEALTHY: 40,
  PID: 88,
  INITIALIZED: 92,
  MAPPED_ADDR: 96,
  CLASSES: 104,
  BYTES: 4136,
} as const;

/** One size class in the pool header. */
export const SizeClass = {
  SHARDS: 0,
  OBJECT_SIZE: 416,
  POOL_START: 424,
  POOL_SIZE: 432,
  OBJECT_COUNT: 440,
  BYTES: 448,
} as const;

/** One shard of a size class. */
export const Shard = {
  MUTEX: 0,
  COND: 40,
  HEAD: 88,
  COUNT: 92,
  FREE_COUNT: 96,
  BYTES: 104,
} as const;

/** The geometry of a pool kind: never read back from a pool that somebody else can write. */
export interface PoolGeometry {
  /** Block size of each class, bytes, a power of two. */
  readonly objectSize: Int32Array;
  /** Blocks of each class. */
  readonly objectCount: Int32Array;
  /** Offset of the first block of each class; one entry more: the end of the block area. */
  readonly start: Int32Array;
  /** Number of blocks in the classes before this one. */
  readonly firstIndex: Int32Array;
  /** Bytes of the block area; the header follows. */
  readonly dataBytes: number;
  readonly fileBytes: number;
  readonly blocks: number;
}

const OBJECT_SIZES = [256, 512, 1024, 2048, 4096, 16384, 65536, 262144, 1048576];

function geometry(counts: readonly number[]): PoolGeometry {
  const start = new Int32Array(CLASSES + 1);
  const firstIndex = new Int32Array(CLASSES + 1);
  for (let c = 0; c < CLASSES; c++) {
    start[c + 1] = start[c]! + OBJECT_SIZES[c]! * counts[c]!;
    firstIndex[c + 1] = firstIndex[c]! + counts[c]!;
  }
  const dataBytes = start[CLASSES]!;
  return {
    objectSize: Int32Array.from(OBJECT_SIZES),
    objectCount: Int32Array.from(counts),
    start,
    firstIndex,
    dataBytes,
    fileBytes: dataBytes + PoolHeader.BYTES,
    blocks: firstIndex[CLASSES]!,
  };
}

/** The global pool of privileged processes (spec 10 §4.1). */
export const GSPP: PoolGeometry = geometry([1024, 768, 512, 384, 256, 128, 64, 32, 16]);
/** The pool of one unprivileged user. */
export const PUP: PoolGeometry = geometry([128, 96, 64, 48, 32, 16, 8, 2, 0]);

/** Rbuff (spec 10 §5.1). */
export const RbuffLayout = {
  SLOTS: 0,
  HEAD: 8192,
  TAIL: 8200,
  ACL: 8208,
  MUTEX: 8216,
  ADD: 8256,
  DEL: 8304,
  BYTES: 8352,
} as const;

/** Bits of an rbuff's ACL word (spec 10 §5.3). */
export const Acl = { RDWR: 0, RDONLY: 1, FLOWDOWN: 2, FLOWPEER: 4 } as const;

/** Flow set (spec 10 §6.1). */
export const FlowSetLayout = {
  MTABLE: 0,
  HEADS: 81920,
  CONDS: 82176,
  EVENTS: 83712,
  LOCK: 345856,
  BYTES: 345896,
} as const;

/**
 * Events of a flow set (spec 10 §6.2).
 *
 * @example
 * ```ts
 * import { Flow, FlowEvent, FlowSet, OuroProcess } from "@ouro/ouro";
 * import { assert } from "@std/assert";
 *
 * using set = new FlowSet(OuroProcess.current());
 * using flow = Flow.allocSync(OuroProcess.current(), "echo");
 * set.add(flow);
 * flow.writeSync(Uint8Array.of(1));
 * for (const { events } of set.wait(5000)) assert((events & FlowEvent.PKT) !== 0);
 * ```
 */
export const FlowEvent = {
  /** A packet came, or something can be read. */
  PKT: 1,
  /** The other side marked the flow down. */
  DOWN: 2,
  /** The other side cleared that mark. */
  UP: 4,
  /** Never raised. */
  ALLOC: 8,
  /** The other side closed the flow. */
  DEALLOC: 16,
  /** The peer was silent for its whole time-out. */
  PEER: 32,
} as const;

export const LOCKFILE_BYTES = 4;

/** Permission bits of our objects, tighter than the prototype's where C peers allow it (spec 10 §11.2). */
export const MODE_SHARED = 0o660;
export const MODE_PRIVATE = 0o600;
export const MODE_LOCKFILE = 0o644;

let checked = false;

/** Asserts that the constants fit together; called by every constructor of this room. */
export function assertLayout(): void {
  if (checked) return;
  const holds = Shard.COND === Shard.MUTEX + MUTEX_BYTES &&
    Shard.HEAD === Shard.COND + COND_BYTES &&
    SizeClass.OBJECT_SIZE === SHARDS * Shard.BYTES &&
    PoolHeader.BYTES === PoolHeader.CLASSES + CLASSES * SizeClass.BYTES &&
    GSPP.fileBytes === 34476072 && PUP.fileBytes === 1691688 &&
    RbuffLayout.HEAD === RBUFF_SLOTS * 8 && RbuffLayout.ADD === RbuffLayout.MUTEX + MUTEX_BYTES &&
    RbuffLayout.BYTES === RbuffLayout.DEL + COND_BYTES &&
    FlowSetLayout.HEADS === FLOW_IDS_MAX * 8 &&
    FlowSetLayout.CONDS === FlowSetLayout.HEADS + FQUEUES_MAX * 8 &&
    FlowSetLayout.EVENTS === FlowSetLayout.CONDS + FQUEUES_MAX * COND_BYTES &&
    FlowSetLayout.LOCK === FlowSetLayout.EVENTS + FQUEUES_MAX * RBUFF_SLOTS * 8 &&
    FlowSetLayout.BYTES === FlowSetLayout.LOCK + MUTEX_BYTES &&
    new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
  if (!holds) throw new Error("Cannot use shared memory: layout constants disagree");
  checked = true;
}
