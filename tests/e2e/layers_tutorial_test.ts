// docs/layers.md keeps its word: hosts as network namespaces, and nodes of one user without privileges. Needs the built
// binary, which the page runs by the names of its links.

import { assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { canMakeNetns } from "../support/netns.ts";
import { runSection } from "../support/tutorial.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const BINARY = Deno.env.get("OURO_BINARY");
const DEADLINE_MS = 900_000;

/** Runs a section of the page with the links in the search path, in a directory for temporary files. */
async function chapters(heading: string, before: string, uid?: number): Promise<number> {
  const page = await Deno.readTextFile(join(ROOT, "docs/layers.md"));
  const dir = await Deno.makeTempDir({ prefix: "ouro-layers-" });
  try {
    const binary = await Deno.realPath(BINARY!);
    for (const tool of ["irm", "irmd", "oping", "obc"]) {
      await Deno.symlink(binary, join(dir, tool));
    }
    if (uid !== undefined) await Deno.chown(dir, uid, uid);
    await Deno.chmod(dir, 0o755);
    return await runSection(page, heading, {
      before,
      blocksMin: 4,
      cwd: dir,
      env: {
        PATH: `${dir}:${Deno.env.get("PATH")}`,
        TMPDIR: dir,
        OURO_PREFIX: "",
        // A machine that is loaded starts programs slowly.
        OURO_PATIENCE: "5",
      },
      deadlineMs: DEADLINE_MS,
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test({
  name:
    "layers over layers, hosts as network namespaces: every command runs and shows what it should",
  ignore: BINARY === undefined || !canMakeNetns(),
  // Whatever happens, no host is left.
  async fn() {
    const shown = await chapters(
      "Hosts as network namespaces",
      `trap 'for ns in $(ip netns list | grep -o "^$NS-[a-z]*"); do
        ip netns pids $ns | xargs -r kill -9; ip netns del $ns; done' EXIT`,
    );
    assertEquals(shown, 12);
  },
});

Deno.test({
  name:
    "layers over layers, nodes of one user without privileges: every command runs and shows what it should",
  ignore: BINARY === undefined,
  async fn() {
    const shown = await chapters(
      "Nodes of one user",
      "trap 'kill -9 $(jobs -p) 2> /dev/null || true' EXIT",
      Deno.uid() === 0 ? 65534 : undefined,
    );
    assertEquals(shown, 3);
  },
});
