// A process lives on when shared memory that it has mapped is truncated, reads zeros there, and
// shares what it writes there with others again.

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { ShmObject } from "../../../../lib/sys/mman.ts";

const READER = fromFileUrl(new URL("../../../support/truncated_reader.ts", import.meta.url));

async function read(): Promise<{ code: number; signal: string | null; out: string }> {
  const name = `/ouro-test-sigbus-${Deno.pid}`;
  const object = ShmObject.create(name, 3 * 4096, 0o600);
  try {
    const mapping = object.map(3 * 4096);
    new Uint8Array(mapping.buffer)[4097] = 5;
    mapping.unmap();
    const { code, signal, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", READER, name],
      stderr: "null",
    }).output();
    return { code, signal, out: new TextDecoder().decode(stdout).trim() };
  } finally {
    object.close();
    ShmObject.unlink(name);
  }
}

Deno.test({
  name: "a truncated object gets its length back, with zeros that are shared",
  ignore: Deno.build.arch !== "x86_64",
  async fn() {
    assertEquals(await read(), { code: 0, signal: null, out: "[5,0,7,12288,7]" });
  },
});
