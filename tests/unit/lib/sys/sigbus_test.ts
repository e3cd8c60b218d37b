// Truncated shared memory reads as zeros after surviveTruncation(), and ends a process without it.

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { ShmObject } from "../../../../lib/sys/mman.ts";

const READER = fromFileUrl(new URL("../../../doubles/truncated_reader.ts", import.meta.url));

async function read(mode: string): Promise<{ code: number; signal: string | null; out: string }> {
  const name = `/ouro-test-sigbus-${Deno.pid}-${mode}`;
  const object = ShmObject.create(name, 3 * 4096, 0o600);
  try {
    const mapping = object.map(3 * 4096);
    new Uint8Array(mapping.buffer)[4097] = 5;
    mapping.unmap();
    const { code, signal, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", READER, name, mode],
      stderr: "null",
    }).output();
    return { code, signal, out: new TextDecoder().decode(stdout).trim() };
  } finally {
    object.close();
    ShmObject.unlink(name);
  }
}

Deno.test({
  name: "surviveTruncation() turns the pages of a truncated object into zeros",
  ignore: Deno.build.arch !== "x86_64",
  async fn() {
    assertEquals(await read("survive"), { code: 0, signal: null, out: "[5,0,7]" });
  },
});

Deno.test("a process without surviveTruncation() dies of a truncated object", async () => {
  assertEquals((await read("die")).signal, "SIGBUS");
});
