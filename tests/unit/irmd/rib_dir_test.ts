/** What is proved here: who is first in /tmp does not keep the RIB's directory from its users. */

import { assertEquals } from "@std/assert";
import { RibDir } from "../../../irmd/rib_dir.ts";
import { instanceOf } from "../../../lib/instance.ts";
import { Logger, nullSink } from "../../../lib/log.ts";
import { ribDir } from "../../../lib/rib/mount.ts";
import { FUSE_DEVICE } from "../../../lib/sys/fuse.ts";

function hasFuse(): boolean {
  try {
    return Deno.statSync(FUSE_DEVICE).isCharDevice === true;
  } catch {
    return false;
  }
}

Deno.test({
  name: "a file, a link or a directory of another user's is moved out of the way of the RIB",
  ignore: Deno.uid() !== 0 || !hasFuse(),
  async fn() {
    const before = Deno.env.get("OURO_RIB");
    const prefix = await Deno.makeTempDir();
    try {
      Deno.env.set("OURO_RIB", "on");
      const instance = instanceOf(prefix);
      const dir = ribDir(instance);
      await Deno.mkdir(`${prefix}/tmp`);
      const squats = [
        () => Deno.writeTextFileSync(dir, "squat"),
        () => Deno.symlinkSync("/etc", dir),
        () => {
          Deno.mkdirSync(`${dir}/below`, { recursive: true });
          Deno.chownSync(dir, 65534, 65534);
          Deno.chmodSync(dir, 0o700);
        },
      ];
      for (const squat of squats) {
        squat();
        const rib = new RibDir(instance, new Logger(nullSink, "test"));
        const { isDirectory, uid, mode } = await Deno.lstat(dir);
        assertEquals([isDirectory, uid, mode! & 0o7777], [true, 0, 0o1777]);
        await rib.close();
      }
    } finally {
      if (before === undefined) Deno.env.delete("OURO_RIB");
      else Deno.env.set("OURO_RIB", before);
      await Deno.remove(prefix, { recursive: true });
    }
  },
});
