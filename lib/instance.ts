/**
 * An instance: where the sockets, shared-memory objects and configuration of one node live.
 *
 * Without a prefix these are the prototype's places, so both run on the same host objects. With a
 * prefix (`--prefix`, `OURO_PREFIX`) everything moves below that directory and the shared-memory
 * names carry a tag derived from it, so several nodes run side by side, also without root.
 */

import { basename, dirname, resolve } from "@std/path";
import { Errno, OuroError } from "./errno.ts";

const encoder = new TextEncoder();

/** The places of one node. All paths are absolute and have no trailing slash. */
export interface Instance {
  /** The prefix directory, `""` for the system's own node. */
  readonly prefix: string;
  /** Directory of `irm.sock` and `ipcp.<pid>.sock`. */
  readonly socketDir: string;
  /** Start of every shared-memory name, `/ouroboros` or `/ouroboros-<tag>`; a `.` and the rest follow. */
  readonly shmBase: string;
  /** Directory of `irmd.conf`. */
  readonly configDir: string;
  /** Directory with `cacert/`, `untrusted/`, `server/`, `client/` (spec 40 §13). */
  readonly securityDir: string;
}

/**
 * Longest prefix without its links, bytes: a socket's path has at most 107, and of what is made below a prefix the
 * socket of an IPCP with a pid of seven digits has the longest.
 */
const PREFIX_BYTES_MAX = 107 - "/run/ipcp.4194303.sock".length;

/**
 * The instance for a prefix directory; `""` or `undefined` is the system's own. Throws `OuroError` -ENAMETOOLONG when
 * the paths of sockets below the prefix would be too long.
 *
 * @example
 * ```ts
 * import { instanceOf } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(instanceOf("").socketDir, "/var/run/ouroboros");
 * assertEquals(instanceOf("/tmp/n1").socketDir, "/tmp/n1/run");
 * ```
 */
export function instanceOf(prefix?: string): Instance {
  if (!prefix) {
    return {
      prefix: "",
      socketDir: "/var/run/ouroboros",
      shmBase: "/ouroboros",
      configDir: "/etc/ouroboros",
      securityDir: "/etc/ouroboros/security",
    };
  }
  const dir = withoutLinks(resolve(prefix));
  const { length } = encoder.encode(dir);
  if (length > PREFIX_BYTES_MAX) {
    throw new OuroError(-Errno.ENAMETOOLONG, `Cannot have a node below ${dir}`, {
      stage: "prefix",
      process: "",
      cause: `the prefix has ${length} bytes, at most ${PREFIX_BYTES_MAX}: sockets are below it`,
    });
  }
  const tag = fnv1a64(dir).toString(16).padStart(16, "0");
  return {
    prefix: dir,
    socketDir: `${dir}/run`,
    shmBase: `/ouroboros-${tag}`,
    configDir: `${dir}/etc`,
    securityDir: `${dir}/etc/security`,
  };
}

/**
 * The instance that the environment (`OURO_PREFIX`) selects.
 *
 * @example
 * ```ts
 * import { currentInstance } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(currentInstance().prefix, Deno.env.get("OURO_PREFIX") ?? "");
 * ```
 */
export function currentInstance(): Instance {
  return instanceOf(Deno.env.get("OURO_PREFIX"));
}

/**
 * One directory is one node, however it is spelled: links are resolved as far as the path is there. Where files may
 * not be looked at, the path stays as it is.
 */
function withoutLinks(dir: string): string {
  let rest = "";
  for (let at = dir; at !== "/"; at = dirname(at)) {
    try {
      return Deno.realPathSync(at) + rest;
    } catch (e) {
      if (!(e instanceof Deno.errors.NotFound)) return dir;
      rest = `/${basename(at)}${rest}`;
    }
  }
  return dir;
}

/** Path of the IRMd's socket. */
export function irmSocketPath(i: Instance): string {
  return `${i.socketDir}/irm.sock`;
}

/** Path of an IPCP's command socket. */
export function ipcpSocketPath(i: Instance, pid: number): string {
  return `${i.socketDir}/ipcp.${pid}.sock`;
}

/** Name of a shared-memory object, e.g. `shmName(i, "rbuff", pid, flowId)` (spec 10 §1). */
export function shmName(i: Instance, ...parts: (string | number)[]): string {
  return `${i.shmBase}.${parts.join(".")}`;
}

/**
 * FNV-1a of a text's UTF-8 bytes: tells prefixes apart, no more. `node:crypto` would cost every
 * command 20 ms of its start.
 */
function fnv1a64(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of encoder.encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}
