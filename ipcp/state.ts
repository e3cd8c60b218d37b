/**
 * The life of an IPCP and which commands it takes in which state. Pure.
 *
 * Source: spec 50 §3 and §4.1.
 *
 *     NULL → INIT → BOOT → OPERATIONAL → SHUTDOWN → INIT → NULL
 *                    └────── signal ──────────────────┘
 *
 * "Operation unsupported" is tested before the state. Nothing is served in NULL, INIT and SHUTDOWN.
 * BOOT is never left before a bootstrap or enrollment has succeeded, so a failed one can be repeated.
 * Registrations are also taken in BOOT, as the prototype does; a type checks their length later. In BOOT a unicast IPCP
 * has no directory yet, and refuses them (there the prototype dies, spec 60 §3.1).
 */

import { Errno } from "../lib/errno.ts";

/** IPCP types by number (spec 50 §1). */
export const Type = {
  local: 0,
  unicast: 1,
  broadcast: 2,
  "eth-llc": 3,
  "eth-dix": 4,
  udp4: 5,
  udp6: 6,
} as const;
/** A type's name, as in `ipcpd-<type>`. */
export type TypeName = keyof typeof Type;

/** States by number; BOOTSTRAPPED (3) and ENROLLED (4) exist but are never entered. */
export const State = {
  null: 0,
  init: 1,
  boot: 2,
  bootstrapped: 3,
  enrolled: 4,
  operational: 5,
  shutdown: 6,
} as const;
/** A state's name, as it is logged. */
export type StateName = keyof typeof State;

/** Command codes of the IPCP's socket (spec 50 §4). */
export const Command = {
  bootstrap: 1,
  enroll: 2,
  reg: 3,
  unreg: 4,
  query: 5,
  flowAlloc: 6,
  flowJoin: 7,
  flowAllocResp: 8,
  flowDealloc: 9,
  connect: 10,
  disconnect: 11,
  /** Ours. */
  countMembers: 100,
  /** Ours. */
  flowLosses: 101,
} as const;

const SHIM: ReadonlySet<number> = new Set([
  Command.bootstrap,
  Command.reg,
  Command.unreg,
  Command.query,
  Command.flowAlloc,
  Command.flowAllocResp,
  Command.flowDealloc,
  Command.flowLosses,
]);

const SUPPORTED: Record<TypeName, ReadonlySet<number>> = {
  local: SHIM,
  udp4: SHIM,
  udp6: SHIM,
  "eth-llc": SHIM,
  "eth-dix": SHIM,
  broadcast: new Set([
    Command.bootstrap,
    Command.enroll,
    Command.flowJoin,
    Command.flowDealloc,
    Command.flowLosses,
    Command.connect,
    Command.disconnect,
  ]),
  unicast: new Set([
    ...SHIM,
    Command.enroll,
    Command.connect,
    Command.disconnect,
    Command.countMembers,
  ]),
};

const IN_BOOT: ReadonlySet<number> = new Set([
  Command.bootstrap,
  Command.enroll,
  Command.reg,
  Command.unreg,
  Command.connect,
  Command.disconnect,
]);

const REGISTERS: ReadonlySet<number> = new Set([Command.reg, Command.unreg]);

/**
 * Whether a command may run: 0, or the result to answer with. -1 for an unknown code, -95 for one the
 * type does not have, -1004 in the wrong state.
 */
export function admit(type: TypeName, state: StateName, code: number): number {
  const ours = code === Command.flowLosses || code === Command.countMembers && type === "unicast";
  if (!ours && (code < Command.bootstrap || code > Command.disconnect)) return -Errno.EPERM;
  if (!SUPPORTED[type].has(code)) return -Errno.ENOTSUP;
  const ok = state === "operational"
    ? code !== Command.bootstrap && code !== Command.enroll
    : state === "boot" && IN_BOOT.has(code) && !(type === "unicast" && REGISTERS.has(code));
  return ok ? 0 : -Errno.EIPCPSTATE;
}

/** The state of one IPCP. Each step says whether it was legal; an illegal one changes nothing. */
export class Lifecycle {
  #state: StateName = "null";

  get state(): StateName {
    return this.#state;
  }

  #step(from: StateName, to: StateName): boolean {
    if (this.#state !== from) return false;
    this.#state = to;
    return true;
  }

  /** NULL → INIT: memory and socket are there. */
  init(): boolean {
    return this.#step("null", "init");
  }
  /** INIT → BOOT: commands are taken from now on. */
  start(): boolean {
    return this.#step("init", "boot");
  }
  /** BOOT → OPERATIONAL: bootstrap or enrollment succeeded. */
  operational(): boolean {
    return this.#step("boot", "operational");
  }
  /** A stop signal of the IRMd: OPERATIONAL → SHUTDOWN, BOOT → INIT. */
  signal(): boolean {
    return this.#step("operational", "shutdown") || this.#step("boot", "init");
  }
  /** SHUTDOWN → INIT: the type's threads have stopped. */
  stopped(): boolean {
    return this.#step("shutdown", "init");
  }
  /** INIT → NULL: everything is released. */
  fini(): boolean {
    return this.#step("init", "null");
  }
}
