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

import { IPCP_TYPE_WORDS, IpcpCode, type IpcpState } from "../lib/codes.ts";
import { Errno } from "../lib/errno.ts";

/** A type's name, as in `ipcpd-<type>` (spec 50 §1). */
export type TypeName = typeof IPCP_TYPE_WORDS[number];

/** A type's number. */
export function typeNumber(type: TypeName): number {
  return IPCP_TYPE_WORDS.indexOf(type);
}

/** A state's name, as it is logged; bootstrapped and enrolled exist but are never entered. */
export type StateName = Lowercase<keyof typeof IpcpState>;

const SHIM: ReadonlySet<number> = new Set([
  IpcpCode.IPCP_BOOTSTRAP,
  IpcpCode.IPCP_REG,
  IpcpCode.IPCP_UNREG,
  IpcpCode.IPCP_QUERY,
  IpcpCode.IPCP_FLOW_ALLOC,
  IpcpCode.IPCP_FLOW_ALLOC_RESP,
  IpcpCode.IPCP_FLOW_DEALLOC,
  IpcpCode.IPCP_FLOW_LOSSES,
]);

const SUPPORTED: Record<TypeName, ReadonlySet<number>> = {
  local: SHIM,
  udp4: SHIM,
  udp6: SHIM,
  "eth-llc": SHIM,
  "eth-dix": SHIM,
  broadcast: new Set([
    IpcpCode.IPCP_BOOTSTRAP,
    IpcpCode.IPCP_ENROLL,
    IpcpCode.IPCP_FLOW_JOIN,
    IpcpCode.IPCP_FLOW_DEALLOC,
    IpcpCode.IPCP_FLOW_LOSSES,
    IpcpCode.IPCP_CONNECT,
    IpcpCode.IPCP_DISCONNECT,
  ]),
  unicast: new Set([
    ...SHIM,
    IpcpCode.IPCP_ENROLL,
    IpcpCode.IPCP_CONNECT,
    IpcpCode.IPCP_DISCONNECT,
    IpcpCode.IPCP_COUNT_MEMBERS,
  ]),
};

const IN_BOOT: ReadonlySet<number> = new Set([
  IpcpCode.IPCP_BOOTSTRAP,
  IpcpCode.IPCP_ENROLL,
  IpcpCode.IPCP_REG,
  IpcpCode.IPCP_UNREG,
  IpcpCode.IPCP_CONNECT,
  IpcpCode.IPCP_DISCONNECT,
]);

const REGISTERS: ReadonlySet<number> = new Set([IpcpCode.IPCP_REG, IpcpCode.IPCP_UNREG]);

/**
 * Whether a command may run: 0, or the result to answer with. -1 for an unknown code, -95 for one the
 * type does not have, -1004 in the wrong state.
 */
export function admit(type: TypeName, state: StateName, code: number): number {
  const ours = code === IpcpCode.IPCP_FLOW_LOSSES ||
    code === IpcpCode.IPCP_COUNT_MEMBERS && type === "unicast";
  if (!ours && (code < IpcpCode.IPCP_BOOTSTRAP || code > IpcpCode.IPCP_DISCONNECT)) {
    return -Errno.EPERM;
  }
  if (!SUPPORTED[type].has(code)) return -Errno.ENOTSUP;
  const ok = state === "operational"
    ? code !== IpcpCode.IPCP_BOOTSTRAP && code !== IpcpCode.IPCP_ENROLL
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
