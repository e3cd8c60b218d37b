/** What oping says of a flow. */

import { assertEquals } from "@std/assert";
import { aboutText } from "../../../oping/about.ts";

const fingerprint = new Uint8Array(32).fill(0xab);

Deno.test("aboutText(): layer, authenticated peer and cipher; nothing of a plain direct flow", () => {
  const peer = { name: "alice", how: "EC prime256v1", fingerprint };
  assertEquals(aboutText({}), "");
  assertEquals(aboutText({ layer: "office" }), 'layer "office"');
  assertEquals(
    aboutText({ layer: "office", peer, cipher: "aes-256-gcm" }),
    'layer "office", peer "alice" (EC prime256v1), aes-256-gcm',
  );
  assertEquals(
    aboutText({ cipher: "chacha20-poly1305" }),
    "peer not authenticated, chacha20-poly1305",
  );
  assertEquals(
    aboutText({ peer: { ...peer, name: "" } }),
    "peer of certificate abababababababab (EC prime256v1)",
  );
  assertEquals(
    aboutText({ layer: "a\n\x1b[2J", peer: { ...peer, name: "b\r" } }),
    'layer "a\\x0a\\x1b[2J", peer "b\\x0d" (EC prime256v1)',
  );
});
