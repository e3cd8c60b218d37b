/**
 * Users and groups of the host (`<pwd.h>`, `<grp.h>`, `<unistd.h>`), through libc so that every name
 * service counts. Checked with glibc 2.36.
 *
 * Safety: the structures point into the scratch buffer of the call; everything is copied out before
 * the next call.
 */

import { cstr, errno, lazyLibc, SysError } from "./ffi.ts";

const TABLE = {
  // uid_t getuid(void);
  getuid: { parameters: [], result: "u32" },
  // uid_t geteuid(void);
  geteuid: { parameters: [], result: "u32" },
  // gid_t getgid(void);
  getgid: { parameters: [], result: "u32" },
  // gid_t getegid(void);
  getegid: { parameters: [], result: "u32" },
  // int setgroups(size_t n, const gid_t *list);
  setgroups: { parameters: ["usize", /* n */ "pointer" /* list */], result: "i32" },
  // int setresgid(gid_t rgid, gid_t egid, gid_t sgid);
  setresgid: { parameters: ["u32", /* r */ "u32", /* e */ "u32" /* s */], result: "i32" },
  // int setresuid(uid_t ruid, uid_t euid, uid_t suid);
  setresuid: { parameters: ["u32", /* r */ "u32", /* e */ "u32" /* s */], result: "i32" },
  // int getpwuid_r(uid_t uid, struct passwd *pw, char *buf, size_t n, struct passwd **result);
  getpwuid_r: {
    parameters: [
      "u32", /* uid */
      "buffer", /* pw */
      "buffer", /* buf */
      "usize", /* n */
      "buffer", /* result */
    ],
    result: "i32",
  },
  // int getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t n, struct passwd **result);
  getpwnam_r: {
    parameters: [
      "buffer", /* name */
      "buffer", /* pw */
      "buffer", /* buf */
      "usize", /* n */
      "buffer", /* result */
    ],
    result: "i32",
  },
  // int getgrouplist(const char *user, gid_t group, gid_t *groups, int *ngroups);
  getgrouplist: {
    parameters: ["buffer", /* user */ "u32", /* group */ "buffer", /* groups */ "buffer" /* n */],
    result: "i32",
  },
  // int getgrnam_r(const char *name, struct group *gr, char *buf, size_t n, struct group **result);
  getgrnam_r: {
    parameters: [
      "buffer", /* name */
      "buffer", /* gr */
      "buffer", /* buf */
      "usize", /* n */
      "buffer", /* result */
    ],
    result: "i32",
  },
} as const;

const sys = lazyLibc(TABLE);

/** Name of the group whose members administer the node and share its pool (spec 20 §1). */
export const OUROBOROS_GROUP = "ouroboros";

// struct passwd: name @0, passwd @8, uid u32 @16, gid u32 @20, gecos @24, dir @32, shell @40; 48 bytes.
const PW_BYTES = 48;
const PW_UID = 16;
const PW_GID = 20;
const PW_DIR = 32;
// struct group: name @0, passwd @8, gid u32 @16, members char ** @24; 32 bytes.
const GR_BYTES = 32;
const GR_GID = 16;
const GR_MEMBERS = 24;
const SCRATCH_BYTES = 1 << 16;
/** Members read of a group; a longer list is cut. */
const MEMBERS_MAX = 4096;
/** Groups read of a user. */
const GROUPS_MAX = 4096;

const scratch = { bytes: undefined as Uint8Array<ArrayBuffer> | undefined };
const result = new BigUint64Array(1);

function buffer(): Uint8Array<ArrayBuffer> {
  return scratch.bytes ??= new Uint8Array(SCRATCH_BYTES);
}

/** Real uid of this process. */
export function realUid(): number {
  return sys().getuid();
}

/** Effective uid of this process. */
export function effectiveUid(): number {
  return sys().geteuid();
}

/** Effective gid of this process. */
export function effectiveGid(): number {
  return sys().getegid();
}

/**
 * Becomes another user for good, with the group `gid` and the supplementary `groups`. Throws `SysError` (EPERM
 * unless root).
 */
export function becomeUser(uid: number, gid: number, groups: readonly number[] = []): void {
  const s = sys();
  const check = (r: number, call: string) => {
    if (r !== 0) throw new SysError(errno(), call, `uid ${uid}`);
  };
  const list = new Uint32Array(groups);
  const at = groups.length === 0 ? null : Deno.UnsafePointer.of(list);
  check(s.setgroups(BigInt(groups.length), at), "setgroups");
  check(s.setresgid(gid, gid, gid), "setresgid");
  check(s.setresuid(uid, uid, uid), "setresuid");
}

/** An entry of the user database. */
export interface User {
  readonly name: string;
  readonly uid: number;
  /** Primary group. */
  readonly gid: number;
  /** Home directory. */
  readonly home: string;
}

/** The database entry of a uid, or undefined. */
export function userByUid(uid: number): User | undefined {
  return userFound((...found) => sys().getpwuid_r(uid, ...found));
}

/** The database entry of a user name, or undefined. */
export function userByName(name: string): User | undefined {
  const text = cstr(name);
  return userFound((...found) => sys().getpwnam_r(text, ...found));
}

/** Where a look-up puts what it finds: the entry, its texts and their room, the address of the entry. */
type Found = [Uint8Array<ArrayBuffer>, ReturnType<typeof buffer>, bigint, Uint8Array<ArrayBuffer>];

function userFound(lookUp: (...found: Found) => number): User | undefined {
  const pw = new DataView(new ArrayBuffer(PW_BYTES));
  result[0] = 0n;
  const r = lookUp(
    new Uint8Array(pw.buffer),
    buffer(),
    BigInt(SCRATCH_BYTES),
    new Uint8Array(result.buffer),
  );
  return r !== 0 || result[0] === 0n ? undefined : userOf(pw);
}

function userOf(pw: DataView): User {
  return {
    name: text(pw.getBigUint64(0, true)),
    uid: pw.getUint32(PW_UID, true),
    gid: pw.getUint32(PW_GID, true),
    home: text(pw.getBigUint64(PW_DIR, true)),
  };
}

/** All groups of a user, the primary one included. */
export function groupsOf(user: User): number[] {
  const gids = new Uint32Array(GROUPS_MAX);
  const count = new Int32Array([GROUPS_MAX]);
  const n = sys().getgrouplist(cstr(user.name), user.gid, gids, new Uint8Array(count.buffer));
  return n < 0 ? [user.gid] : [...gids.subarray(0, n)];
}

/** A group and the user names the database lists in it. */
export interface Group {
  readonly gid: number;
  readonly members: string[];
}

/** The database entry of a group, or undefined. */
export function groupByName(name: string): Group | undefined {
  const gr = new DataView(new ArrayBuffer(GR_BYTES));
  result[0] = 0n;
  const r = sys().getgrnam_r(
    new TextEncoder().encode(name + "\0"),
    new Uint8Array(gr.buffer),
    buffer(),
    BigInt(SCRATCH_BYTES),
    new Uint8Array(result.buffer),
  );
  if (r !== 0 || result[0] === 0n) return undefined;
  const members: string[] = [];
  const list = gr.getBigUint64(GR_MEMBERS, true);
  if (list !== 0n) {
    const view = new Deno.UnsafePointerView(Deno.UnsafePointer.create(list)!);
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const at = view.getBigUint64(i * 8);
      if (at === 0n) break;
      members.push(text(at));
    }
  }
  return { gid: gr.getUint32(GR_GID, true), members };
}

function text(at: bigint): string {
  const pointer = Deno.UnsafePointer.create(at);
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

/** Gid of a group, or undefined when it does not exist. */
export function groupGid(name: string = OUROBOROS_GROUP): number | undefined {
  return groupByName(name)?.gid;
}

/**
 * Whether a uid is privileged (spec 10 §2.4): root, the owner of the node, or in group `ouroboros` by
 * its primary group or by the group's list. Credentials of the running process do not count, and a uid
 * without database entry is not privileged.
 *
 * @param owner uid that runs the node's IRMd; root unless the node has a prefix of its own
 */
export function isPrivileged(uid: number, owner = 0): boolean {
  if (uid === 0 || uid === owner) return true;
  const group = groupByName(OUROBOROS_GROUP);
  if (group === undefined) return false;
  const user = userByUid(uid);
  if (user === undefined) return false;
  return user.gid === group.gid || group.members.includes(user.name);
}
