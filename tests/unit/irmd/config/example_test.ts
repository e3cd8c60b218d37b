/** The example file is a configuration, and what it shows as defaults are the defaults. */

import { assertEquals } from "@std/assert";
import { type IrmdConfig, parseConfig } from "../../../../irmd/config.ts";
import { demand } from "./demand.ts";

const text = await Deno.readTextFile(
  new URL("../../../../docs/irmd.conf.example", import.meta.url),
);

function good(source: string): IrmdConfig {
  const parsed = parseConfig(source, "irmd.conf.example");
  demand(!Array.isArray(parsed), String(parsed));
  return parsed as IrmdConfig;
}

Deno.test("docs/irmd.conf.example is taken, also with every key that it shows", () => {
  const config = good(text);
  assertEquals(config.warnings, []);
  const full = good(text.replace(/^#: /gm, ""));
  assertEquals(full.daemon.direct, true);
  assertEquals(full.entries.length, config.entries.length);
});

Deno.test("docs/irmd.conf.example shows the defaults of bootstrapping", () => {
  const plain = good(text).entries;
  // The defaults of DNS servers are none.
  const shown = good(text.replace(/^#: dns.*$/gm, "").replace(/^#: /gm, "")).entries;
  for (const [i, entry] of shown.entries()) {
    if (entry.kind !== "ipcp") continue;
    const other = plain[i]!;
    demand(other.kind === "ipcp");
    assertEquals(entry.join, other.join, entry.name);
  }
});
