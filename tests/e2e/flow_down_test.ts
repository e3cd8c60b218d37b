/**
 * What is proved here: the end of a flow, or of the IRMd, wakes every blocked caller at once with the right error:
 * blocking and awaiting, reading, writing, in place, flow sets, streams, accept, alloc, join. No call has a
 * time-out, and the peer time-out of the flows is far longer than the test.
 */

import { assertEquals, assertNotMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { IpcpCode, IpcpType } from "../../lib/irm/messages.ts";
import { faultServer, SOON_MS, STACK_TRACE } from "../support/faults.ts";
import { local, puppetNode, startIpcp } from "../support/irmd_with_puppets.ts";
import { nameInfo } from "../support/names.ts";
import { until } from "../support/deadline.ts";
import { type RunningProcess, TestNode } from "../support/node.ts";

const BLOCKED = fromFileUrl(new URL("./blocked_peer.ts", import.meta.url));

const FLOW_KINDS = ["raw", "data"].flatMap((qos) => [
  ...["read", "receive", "write", "reserve", "flow set"].map((way) => `blocking ${qos} ${way}`),
  ...["read", "write", "flow set", "readable", "writable"].map((way) => `awaiting ${qos} ${way}`),
]).sort();
const REQUEST_KINDS = ["accept", "alloc", "join"]
  .flatMap((way) => [`awaiting ${way}`, `blocking ${way}`]).sort();

function start(node: TestNode, ...words: string[]): RunningProcess {
  const flags = ["run", "-A", "--no-prompt", "--quiet", "--no-check"];
  return node.spawnArgv([Deno.execPath(), ...flags, BLOCKED, ...words]);
}

/** Kinds of which the process has printed `text`. */
function said(process: RunningProcess, text: RegExp): string[] {
  return process.out.split("\n").flatMap((line) => {
    const found = line.match(
      /^(\w+ .*?) (blocked|E\w+|end of stream|result .*|\w*Error.*|undefined)$/,
    );
    return found !== null && text.test(found[2]!) ? [found[1]!] : [];
  }).sort();
}

async function allBlocked(process: RunningProcess, kinds: string[]): Promise<void> {
  await until("all are blocked", () => {
    if (process.ended) throw new Error(process.out + process.err);
    return said(process, /^blocked$/).length === kinds.length;
  });
  assertEquals(said(process, /^blocked$/), kinds);
}

/** Every kind has returned with one of these words, and the process ended by itself. */
async function allReturn(
  process: RunningProcess,
  kinds: string[],
  expected: (kind: string) => string,
): Promise<void> {
  const { code, out, err } = await process.wait(SOON_MS);
  const returned = out.split("\n").filter((line) => / /.test(line) && !/blocked$|^all/.test(line));
  assertEquals(returned.sort(), kinds.map((kind) => `${kind} ${expected(kind)}`).sort(), err);
  assertEquals([code, err], [0, ""]);
  assertNotMatch(out, STACK_TRACE);
}

const FLOW_ENDS: Record<string, (node: TestNode, server: RunningProcess) => Promise<void> | void> =
  {
    "a peer that is killed": (_node, server) => server.kill("SIGKILL"),
    "a peer that ends in good order": (_node, server) => server.kill("SIGUSR2"),
    "an IPCP below that is killed": async (node) => {
      const list = JSON.parse(await node.must("irm", "ipcp", "list", "--json"));
      const ipcp = (Array.isArray(list) ? list : list.ipcps)[0];
      Deno.kill(ipcp.pid, "SIGKILL");
    },
  };

for (const [who, end] of Object.entries(FLOW_ENDS)) {
  Deno.test(`${who} wakes every blocked caller with -EFLOWDOWN`, async () => {
    const layered = who.includes("IPCP");
    await using node = await TestNode.start(layered ? { args: ["--no-direct"] } : {});
    if (layered) {
      await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l", "layer", "lay");
    }
    const server = await faultServer(node, "deaf");
    if (layered) await node.must("irm", "name", "register", "deaf", "layer", "lay");
    // A layer takes raw packets and drops what the peer does not read: nobody waits.
    const kinds = FLOW_KINDS.filter((kind) =>
      !layered || !/raw (write|reserve|writable)/.test(kind)
    );
    const blocked = start(node, layered ? "layered" : "flows", "deaf");
    await allBlocked(blocked, kinds);
    await end(node, server);
    await allReturn(
      blocked,
      kinds,
      (kind) => kind.endsWith("readable") ? "end of stream" : "EFLOWDOWN",
    );
  });
}

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(`an IRMd that ends by ${signal} wakes every accept, alloc and join`, async () => {
    const { node, admin } = await puppetNode();
    await using _node = node;
    // Puppets: they take the requests of the IRMd and never have a flow.
    const below = await startIpcp(node, admin, "l", IpcpType.LOCAL, local("lay"));
    const broadcast = await startIpcp(node, admin, "b", IpcpType.BROADCAST, {
      layerInfo: { name: "bc", dirHashAlgo: 1 },
      ipcpType: IpcpType.BROADCAST,
    });
    await admin.createName(nameInfo("n"));
    const blocked = start(node, "requests");
    await allBlocked(blocked, REQUEST_KINDS);
    for (const ipcp of [below, broadcast]) {
      let asked = 0;
      await until("both requests", async () => {
        const codes = (await ipcp.asked()).map((m) => m.code);
        asked += codes.filter((c) =>
          c === IpcpCode.IPCP_FLOW_ALLOC || c === IpcpCode.IPCP_FLOW_JOIN
        ).length;
        return asked === 2;
      });
    }
    node.irmd!.kill(signal);
    // In good order its IPCPs end first, and with them what they were asked for.
    const orderly = (kind: string) => kind.endsWith("accept") ? "EIRMD" : "EIPCP";
    await allReturn(blocked, REQUEST_KINDS, signal === "SIGKILL" ? () => "EIRMD" : orderly);
  });
}
