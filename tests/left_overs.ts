/**
 * What tests leave when they are stopped in the middle, and its end: processes, network namespaces, mounts, objects in
 * /dev/shm, sockets and files.
 *
 * A run of tests gives its processes a directory that is theirs alone: temporary directories lie in it (`TMPDIR`), the
 * program runs from it. Whatever names it in its environment, its words or its file belongs to the run, whoever its
 * parent is by now.
 */

import { OuroError } from "../lib/errno.ts";
import { type Instance, instanceOf } from "../lib/instance.ts";

/** How often it is looked again for processes that were being started, and the pause between looks, ms. */
const LOOKS_MAX = 100;
const PAUSE_MS = 50;

function contentOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return ""; // It has ended, or is somebody else's.
  }
}

function linkOf(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}

function entriesOf(dir: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(dir)];
  } catch {
    return [];
  }
}

/** This process and its parents. */
function ownLine(): Set<number> {
  const line = new Set<number>();
  for (let pid = Deno.pid; pid > 0 && !line.has(pid);) {
    line.add(pid);
    pid = Number(/PPid:\s+(\d+)/.exec(contentOf(`/proc/${pid}/status`))?.[1] ?? 0);
  }
  return line;
}

/**
 * Processes that belong to the run of this directory, but for this one and its parents.
 * @param others those that were seen not to: they are not looked at again, which costs much where many run
 */
export function processesOf(dir: string, others = new Set<number>()): number[] {
  const own = ownLine();
  return entriesOf("/proc").map(({ name }) => Number(name)).filter((pid) => {
    if (!(pid > 1) || own.has(pid) || others.has(pid)) return false;
    const at = `/proc/${pid}`;
    const belongs = [contentOf(`${at}/environ`), contentOf(`${at}/cmdline`), linkOf(`${at}/exe`)]
      .some((text) => text.includes(dir));
    if (!belongs) others.add(pid);
    return belongs;
  });
}

async function ip(...args: string[]): Promise<void> {
  await new Deno.Command("ip", { args, stdout: "null", stderr: "null" }).output().catch(() => {});
}

/** Instances that may have their nodes at a directory or below. */
function* instancesBelow(dir: string, depth = 3): Generator<Instance> {
  try {
    yield instanceOf(dir);
  } catch (e) {
    // A path that is too long for a node is too long for those below it.
    if (!(e instanceof OuroError)) throw e;
    return;
  }
  if (depth === 0) return;
  for (const { name, isDirectory } of entriesOf(dir)) {
    if (isDirectory) yield* instancesBelow(`${dir}/${name}`, depth - 1);
  }
}

/**
 * Ends and removes everything of the run of a directory, the directory's content included; nothing that is left of it
 * runs any more when this resolves.
 * @param testers pids of `deno test`, which are in the names of the namespaces that tests make
 */
export async function endLeftOvers(dir: string, testers: readonly number[]): Promise<void> {
  const others = new Set<number>();
  // Who is killed may have started somebody meanwhile.
  for (let look = 0; look < LOOKS_MAX; look++) {
    const pids = processesOf(dir, others);
    if (pids.length === 0) break;
    for (const pid of pids) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    }
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
  for (const { name } of entriesOf("/run/netns")) {
    if (testers.some((pid) => name.startsWith(`ouro${pid}x`))) await ip("netns", "del", name);
  }
  const mounts = contentOf("/proc/self/mounts").split("\n").map((line) => line.split(" ")[1] ?? "");
  for (const at of mounts.filter((path) => path.startsWith(`${dir}/`)).reverse()) {
    await new Deno.Command("umount", { args: ["-l", at], stderr: "null" }).output().catch(() => {});
  }
  const objects = entriesOf("/dev/shm").map(({ name }) => name)
    .filter((name) => name.startsWith("ouroboros-"));
  if (objects.length > 0) {
    for (const { shmBase } of instancesBelow(dir)) {
      const base = `${shmBase.slice(1)}.`;
      for (const name of objects.filter((n) => n.startsWith(base))) {
        await Deno.remove(`/dev/shm/${name}`, { recursive: true }).catch(() => {});
      }
    }
  }
  for (const { name } of entriesOf(dir)) {
    await Deno.remove(`${dir}/${name}`, { recursive: true }).catch(() => {});
  }
}
