/** What the tests of system calls share. */

import { assertEquals } from "@std/assert";
import { EventSource } from "../../lib/sys/epoll.ts";
import { Fd } from "../../lib/sys/fd.ts";

/** A test with a directory of its own; descriptors must all be closed at the end. */
export function sysTest(name: string, body: (dir: string) => void | Promise<void>): void {
  Deno.test({
    name,
    // libc is opened once a process and stays open.
    sanitizeResources: false,
    async fn() {
      const dir = Deno.makeTempDirSync();
      EventSource.get();
      const before = Fd.live;
      try {
        await body(dir);
      } finally {
        await EventSource.get().idle();
        Deno.removeSync(dir, { recursive: true });
      }
      assertEquals(Fd.live, before);
    },
  });
}
