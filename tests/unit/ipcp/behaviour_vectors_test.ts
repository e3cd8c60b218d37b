// deno-lint-ignore-file camelcase -- the vectors have these names
// The behaviour cases of vectors/ipcp.json: a frame comes in, a reply goes out or nothing does. Endpoint ids are
// ours to choose, so replies are compared without the responder's.

import { assertEquals } from "@std/assert";
import * as frame from "../../../lib/wire/eth_frame.ts";
import { llcMgmt } from "../../../lib/wire/eth_mgmt.ts";
import { udpMgmt } from "../../../lib/wire/udp_mgmt.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import { nameHash } from "../../../lib/hash.ts";
import { HashAlgo } from "../../../lib/irm/messages.ts";
import type { ShimMgmt } from "../../../lib/wire/shim_mgmt.ts";
import type { ShimConfig, ShimEffect } from "../../../ipcp/shim/effects.ts";
import * as t from "../../support/machines.ts";
import { allIpcpVectors, unhex } from "./vectors.ts";

interface BehaviourInput {
  receive: string;
  registered_names: string[];
  own: string;
}

const LLC: ShimConfig = { ...t.DIX, codec: llcMgmt, eids: { ...t.DIX.eids, first: 2, last: 63 } };
const UDP: ShimConfig = {
  codec: udpMgmt,
  eids: { first: 1, last: 0xfffffffe, quarantineUs: 1e6, mplUs: 100_000 },
  hashBytes: 16,
  mgmtBytesMax: 2048,
  names: "resolve",
  network: [4, 7],
};

const isUdp = (group: string) => group === "udp4" || group === "udp6";

/** Sender and management message of a frame or datagram. */
function unwrap(group: string, bytes: Uint8Array): { from: Uint8Array; mgmt: Uint8Array } {
  if (isUdp(group)) {
    return { from: new Uint8Array(group === "udp4" ? 16 : 28).fill(10), mgmt: bytes };
  }
  const out = { deid: 0, seid: 0, start: 0, end: 0 };
  const bad = group === "eth-dix"
    ? frame.parseDix(bytes, 0, bytes.length, 0xa000, out)
    : frame.parseLlc(bytes, 0, bytes.length, out);
  assertEquals(bad, 0);
  return { from: bytes.slice(6, 12), mgmt: bytes.slice(out.start, out.end) };
}

const CONFIG: Record<string, ShimConfig> = {
  "eth-dix": t.DIX,
  "eth-llc": LLC,
  udp4: UDP,
  udp6: { ...UDP, network: [8, 16] },
};

function parsed(mgmt: Uint8Array, { codec, hashBytes }: ShimConfig): ShimMgmt {
  const message = codec.parse(mgmt, hashBytes);
  if (isWireError(message)) throw new Error(`the vector is no message: ${message}`);
  return message;
}

for (const v of allIpcpVectors().filter((v) => v.name.includes("/behaviour/"))) {
  Deno.test(`${v.name}: ${v.expect}`, () => {
    const group = v.name.split("/")[0]!;
    const config = CONFIG[group];
    if (config === undefined) throw new Error(`unknown group ${group}`);
    const input = v.input as BehaviourInput;
    const m = t.machine(config);
    for (const name of input.registered_names) {
      const hash = nameHash(isUdp(group) ? HashAlgo.MD5 : HashAlgo.SHA3_256, name);
      if (typeof hash === "number") throw new Error(`no hash of ${name}: ${hash}`);
      m.names.register(hash);
    }
    const { from, mgmt } = unwrap(group, unhex(input.receive));
    m.onMgmt(0, from, mgmt);
    const effects = t.drain(m);
    if (v.expect === "no reply") {
      // What prototypes skip is none.
      const isSkipped = (e: ShimEffect) => {
        return e.kind === "send" && t.parsed(e, config).kind === "flow_end";
      };
      return assertEquals(effects.filter((e) => !isSkipped(e)), []);
    }
    assertEquals(v.expect, "reply");
    const want = parsed(unwrap(group, unhex(v.hex)).mgmt, config);
    const [question] = effects;
    if (question?.kind === "ask_irmd") {
      // What the IRMd says to a request without OAP: taken, and then refused.
      m.asked(1, question.ask, { result: 0, flowId: 9, pid: 4009 });
      t.verdict(m, 2, 9, -1009);
      effects.push(...t.drain(m));
    }
    const got = t.parsed(effects.find((e) => e.kind === "send"), config);
    const blind = (x: ShimMgmt) => x.kind === "flow_reply" ? { ...x, responderEid: 0 } : x;
    assertEquals(blind(got), blind(want));
  });
}
