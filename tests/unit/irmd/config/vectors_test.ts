/**
 * The configuration files of vectors/irmd.json (`config/`), read and applied to a daemon in memory.
 * What the real daemon makes of them is proved in tests/e2e.
 */

import { assert, assertEquals } from "@std/assert";
import { type IrmdConfig, parseConfig, resolvePaths } from "../../../../irmd/config.ts";
import { LB_POLICIES } from "../../../../irm/types.ts";
import { IPCP_TYPE_WORDS } from "../../../../lib/irm/messages.ts";
import { QOS } from "../../../../lib/qos.ts";
import { FakeAdmin } from "../../../support/admin.ts";
import { isTaken } from "./taken.ts";
import vectors from "../../../vectors/irmd.json" with { type: "json" };

interface ConfigCase {
  readonly name: string;
  readonly input: { readonly config: string };
  readonly result: "running" | "exits";
  readonly ipcps?: readonly { name: string; type: string; layer: string; hash_algo: number }[];
  readonly names?: readonly { name: string; lb: string }[];
  readonly errors?: readonly string[];
}

/** Does to a daemon what a configuration says, in order; stops at the first failure. */
async function apply(config: IrmdConfig, admin: FakeAdmin): Promise<void> {
  const blank = { skey: "", scrt: "", senc: "", ckey: "", ccrt: "", cenc: "" };
  for (const entry of config.entries) {
    if (entry.kind === "name") {
      await admin.createName({ name: entry.name, polLb: entry.polLb, ...entry.security });
      for (const { path, args } of entry.programs) {
        await admin.bindProgram([path, ...(args ?? [])], entry.name, args !== undefined);
      }
      continue;
    }
    await admin.createIpcp(entry.name, entry.type);
    const { pid } = admin.ipcps.find(({ name }) => name === entry.name)!;
    const { join } = entry;
    if (join.kind === "none") continue;
    const bind = async () => {
      const { layer } = admin.ipcps.find((ipcp) => ipcp.pid === pid)!;
      for (const name of entry.autobind ? [entry.name, layer] : []) {
        await admin.bindProcess(pid, name);
      }
    };
    if (join.kind === "bootstrap") await admin.bootstrapIpcp(pid, join.conf);
    else await admin.enrollIpcp(pid, join.dst);
    await bind();
    for (const name of entry.reg) {
      if (!admin.names.some((known) => known.name === name)) {
        await admin.createName({ name, polLb: 1, ...blank });
      }
      await admin.regName(name, pid);
    }
    if (join.kind !== "enrol") continue;
    for (const dst of join.conn) {
      for (const component of join.components) {
        await admin.connectIpcp(pid, dst, component, QOS.raw);
      }
    }
  }
}

const cases = (vectors.cases as unknown as ConfigCase[])
  .filter(({ name }) => name.startsWith("config/"));

for (const one of cases) {
  Deno.test(`irmd.conf ${one.name} ${isTaken(one) ? "is taken" : one.result}`, async () => {
    assert(one.result === "running" || one.result === "exits", `unknown result: ${one.result}`);
    const parsed = parseConfig(one.input.config, "irmd.conf");
    const resolved = Array.isArray(parsed) ? parsed : resolvePaths(
      parsed,
      "irmd.conf",
      (path) => path === "/nonexistent" ? { error: "No such file or directory" } : { path },
    );
    const admin = new FakeAdmin();
    if (Array.isArray(resolved)) {
      assertEquals(one.result, "exits");
      assert(!isTaken(one));
      const lines = resolved.flatMap((error) => error.lines());
      for (const wanted of causes(one)) {
        assert(lines.some((line) => line.startsWith(wanted)), `${wanted}\n${lines.join("\n")}`);
      }
      return;
    }
    if (one.result === "exits" && !isTaken(one)) {
      const failed = await apply(resolved, admin).then(() => false, () => true);
      assert(failed, "nothing fails");
      return;
    }
    await apply(resolved, admin);
    if (one.result === "exits") return;
    assertEquals(
      admin.ipcps.map(({ name, type, layer, hashAlgo }) => ({
        name,
        type: IPCP_TYPE_WORDS[type]! as string,
        layer,
        hash_algo: hashAlgo,
      })),
      [...one.ipcps!],
    );
    assertEquals(
      admin.names.map(({ name, polLb }) => ({ name, lb: LB_POLICIES[polLb]! as string })),
      [...one.names!],
    );
  });
}

/** What the log must say of a refused file: the lines of the configuration that tell the cause. */
function causes(one: ConfigCase): string[] {
  const prefix = "irmd/configuration(EE): ";
  const closing = ["Failed to load configuration.", "Failed to load config file."];
  return one.errors!.filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length).replace(/^Unkown /, "Unknown "))
    .filter((line) => !closing.includes(line));
}
