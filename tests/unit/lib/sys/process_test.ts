/** What is proved here: children, signals and users of lib/sys. Sockets are in socket_test.ts. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno } from "../../../../lib/errno.ts";
import { EventSource } from "../../../../lib/sys/epoll.ts";
import { EventFd } from "../../../../lib/sys/fd.ts";
import { SysError } from "../../../../lib/sys/ffi.ts";
import {
  kill,
  onExit,
  openPidfd,
  pidAlive,
  procArgv,
  procStat,
  reap,
  spawn,
  watchExit,
} from "../../../../lib/sys/process.ts";
import {
  blockSignals,
  IPCP_BLOCKED_SIGNALS,
  isBlocked,
  Signal,
  unblockSignals,
} from "../../../../lib/sys/signals.ts";
import {
  effectiveUid,
  groupByName,
  groupGid,
  isPrivileged,
  realUid,
  userByName,
  userByUid,
} from "../../../../lib/sys/users.ts";
import { sysTest } from "../../../support/sys.ts";

sysTest("spawn() passes words and environment exactly, nothing else", async (dir) => {
  const { pid, pidfd } = spawn(["/bin/sh", "-c", 'echo "$1|$A"; env | grep -c LANG', "sh", "x y"], {
    env: { A: "b c" },
    blockSignals: "none",
    fds: [undefined, `${dir}/out`],
  });
  assertEquals(await onExit(pid, pidfd), 1);
  assertEquals(await Deno.readTextFile(`${dir}/out`), "x y|b c\n0\n");
});

sysTest("spawn() sets the signal mask", async (dir) => {
  for (
    const [blocked, want] of [[IPCP_BLOCKED_SIGNALS, "5007"], ["none", "0"]] as const
  ) {
    // Not through a shell: some clear the mask.
    const out = `${dir}/out-${want}`;
    const { pid, pidfd } = spawn(["/bin/grep", "^SigBlk", "/proc/self/status"], {
      env: {},
      blockSignals: blocked,
      fds: [undefined, out],
    });
    assertEquals(await onExit(pid, pidfd), 0);
    assertEquals(await Deno.readTextFile(out), `SigBlk:\t${want.padStart(16, "0")}\n`);
  }
});

sysTest("spawn() closes descriptors and sets the directory", async (dir) => {
  using open = EventFd.open();
  open.setCloseOnExec(false);
  const { pid, pidfd } = spawn(["/bin/ls", "/proc/self/fd", "."], {
    env: {},
    blockSignals: "none",
    cwd: dir,
    fds: [undefined, `${dir}/out`],
  });
  assertEquals(await onExit(pid, pidfd), 0);
  // 3 is the directory that ls reads.
  assertEquals(await Deno.readTextFile(`${dir}/out`), ".:\nout\n\n/proc/self/fd:\n0\n1\n2\n3\n");
});

sysTest("spawn() of a program that does not exist is an error that names it", () => {
  const e = assertThrows(
    () => spawn(["/no/such"], { env: {}, blockSignals: "none" }),
    SysError,
  );
  assertEquals([e.errno, e.object], [Errno.ENOENT, "/no/such"]);
});

sysTest("onExit() gives 128 + signal for a killed child and reaps it", async () => {
  const { pid, pidfd } = spawn(["/bin/sleep", "100"], { env: {}, blockSignals: "none" });
  assert(pidAlive(pid));
  assertEquals(reap(pid), undefined);
  // The kernel lets spawn() go on a moment before the new program's arguments are in place.
  for (let tries = 0; !procArgv(pid)?.length && tries < 1000; tries++) {
    await new Promise<void>((done) => setTimeout(done, 1));
  }
  assertEquals(procArgv(pid), ["/bin/sleep", "100"]);
  const ended = onExit(pid, pidfd);
  assertEquals(kill(pid, Signal.KILL), 0);
  assertEquals(await ended, 137);
  assertEquals(procStat(pid), undefined);
  assertEquals(kill(pid, 0), -Errno.ESRCH);
});

sysTest("pidAlive() counts a zombie as dead", async () => {
  const { pid, pidfd } = spawn(["/bin/true"], { env: {}, blockSignals: "none" });
  await new Promise<void>((done) => {
    const w = EventSource.get().watch(pidfd.raw, { read: true }, () => {
      w.close();
      done();
    });
  });
  assertEquals(procStat(pid)?.state, "Z");
  assertEquals(pidAlive(pid), false);
  assertEquals(kill(pid, 0), 0);
  pidfd.close();
  assertEquals(reap(pid), 0);
  assertEquals(reap(pid), -1);
});

sysTest("watchExit() of a process that is gone calls back, a closed watch does not", async () => {
  const { pid, pidfd } = spawn(["/bin/true"], { env: {}, blockSignals: "none" });
  await onExit(pid, pidfd);
  assertEquals(await onExit(pid), -1);
  let called = false;
  watchExit(pid, () => called = true)[Symbol.dispose]();
  await Promise.resolve();
  assertEquals(called, false);
});

sysTest("kill() refuses pids that mean groups of processes", () => {
  for (const pid of [0, -1, -Deno.pid, 1.5, NaN]) assertEquals(kill(pid, 0), -Errno.EINVAL);
  assertEquals(kill(Deno.pid, 0), 0);
  assertThrows(() => openPidfd(-1), SysError);
});

sysTest(
  "onSignals() names the sender of signals that a child was started with blocked",
  async (dir) => {
    const signals = new URL("../../../../lib/sys/signals.ts", import.meta.url);
    const program = `
    import { onSignals, Signal } from ${JSON.stringify(signals.href)};
    const alive = setInterval(() => {}, 1e6);
    const stop = onSignals([Signal.TERM], (i) => {
      stop[Symbol.dispose]();
      clearInterval(alive);
      console.log(i.pid);
    });
    console.log("ready");
  `;
    await Deno.writeTextFile(`${dir}/child.ts`, program);
    for (const blocked of [IPCP_BLOCKED_SIGNALS, "none"] as const) {
      const out = `${dir}/out-${blocked}`;
      const { pid, pidfd } = spawn([Deno.execPath(), "run", "-A", `${dir}/child.ts`], {
        env: { PATH: "/usr/bin:/bin", HOME: Deno.env.get("HOME") ?? dir },
        blockSignals: blocked,
        fds: [undefined, out],
      });
      const ended = onExit(pid, pidfd);
      while (pidAlive(pid) && !(await Deno.readTextFile(out)).includes("ready")) {
        await new Promise((done) => setTimeout(done, 5));
      }
      assertEquals(kill(pid, Signal.TERM), 0);
      assertEquals(await ended, 0);
      const sender = blocked === "none" ? 0 : Deno.pid;
      assertEquals(await Deno.readTextFile(out), `ready\n${sender}\n`);
    }
  },
);

sysTest("blockSignals() and unblockSignals() act on the calling thread", () => {
  blockSignals([Signal.USR1]);
  assert(isBlocked(Signal.USR1));
  unblockSignals([Signal.USR1]);
  assertEquals(isBlocked(Signal.USR1), false);
});

sysTest("users: the database is read through libc", () => {
  assertEquals(realUid(), Deno.uid());
  assertEquals(effectiveUid(), Deno.uid());
  assertEquals(userByUid(0), { name: "root", uid: 0, gid: 0, home: "/root" });
  assertEquals(userByUid(4294967294 - 77), undefined);
  assertEquals(userByName("root"), userByUid(0));
  assertEquals(userByName("nobody of this name"), undefined);
  assertEquals(groupByName("root")?.gid, 0);
  assertEquals(groupGid("no-such-group-here"), undefined);
});

sysTest("isPrivileged(): root and the owner are, a uid without entry is not", () => {
  assert(isPrivileged(0));
  assert(isPrivileged(4294900000, 4294900000));
  assertEquals(isPrivileged(4294900000), false);
});
