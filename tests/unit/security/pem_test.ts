/** PEM: what is no block and looks like one is said, whatever became of its marks. */

import { assertEquals } from "@std/assert";
import { encodePem, readPem } from "../../../security/pem.ts";

const one = encodePem("CERTIFICATE", Uint8Array.from({ length: 200 }, (_, i) => i));
const two = encodePem("CERTIFICATE", Uint8Array.from({ length: 200 }, (_, i) => 255 - i));

Deno.test("readPem: a second block with spoilt marks is damage, comments are none", () => {
  const spoilt = [
    two.replaceAll("-----", "----"),
    two.replaceAll("-----", "—"),
    two.replaceAll("-----", "----- "),
    two.replaceAll("-----", ""),
    two.toLowerCase(),
    two.replace(/^/gm, "> "),
    two.replace(/^/gm, "  "),
    two.split("\n").slice(1).join("\n"), // Its first line is lost, or the first two, or the first and the last.
    two.split("\n").slice(2).join("\n"),
    two.split("\n").slice(1, -2).join("\n"),
    two.split("\n").slice(0, -2).join("\n"),
  ];
  for (const text of spoilt) {
    for (const both of [one + text, text + one]) {
      assertEquals(readPem(both).damage === undefined, false, both);
    }
  }
  const comments = [
    "Certificate:\n    Data:\n        Serial Number:\n            57:f5:bd:0e:1d:03\n",
    "# The key of alice, until the end of May\nsubject=O = ouro, CN = alice\n\n",
    "# Begin certificate of alice\n# The end of certificate 2 of 3\n",
    "X509v3 Subject Key Identifier:\n    0A:1B\n",
  ];
  for (const text of comments) assertEquals(readPem(text + one + text).damage, undefined, text);
});
