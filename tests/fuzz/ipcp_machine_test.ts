// The shim machine under random commands, messages, verdicts and time: it never throws, forgets nobody who waits,
// opens no flow that nobody asked for, and is empty at the end.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { QOS } from "../../lib/qos.ts";
import { dixMgmt, llcMgmt } from "../../lib/wire/eth_mgmt.ts";
import { udpMgmt } from "../../lib/wire/udp_mgmt.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import type { ShimMgmt } from "../../lib/wire/shim_mgmt.ts";
import { parseLinks } from "../../lib/wire/rtnetlink.ts";
import type { ShimConfig } from "../../ipcp/shim/effects.ts";
import { ShimMachine } from "../../ipcp/shim/machine.ts";
import { fuzzRuns } from "../support/seed.ts";

const CONFIGS: ShimConfig[] = [
  {
    codec: dixMgmt,
    eids: { first: 1, last: 0xfffe, quarantineUs: 1e6, mplUs: 100_000 },
    hashBytes: 4,
    mgmtBytesMax: 1496,
    names: "ask",
    network: [0, 6],
  },
  {
    codec: llcMgmt,
    eids: { first: 2, last: 63, quarantineUs: 1e6, mplUs: 100_000 },
    hashBytes: 4,
    mgmtBytesMax: 1497,
    names: "ask",
    network: [0, 6],
  },
  {
    codec: udpMgmt,
    eids: { first: 1, last: 0xfffffffe, quarantineUs: 1e6, mplUs: 100_000 },
    hashBytes: 4,
    mgmtBytesMax: 2048,
    names: "resolve",
    network: [4, 7],
  },
];

interface Step {
  what: number;
  who: number;
  flow: number;
  hash: number;
  dtUs: number;
  response: number;
  bytes: Uint8Array;
}

const small = (max: number) => fc.nat(max);
const step: fc.Arbitrary<Step> = fc.record({
  what: small(13),
  who: small(3),
  flow: small(6),
  hash: small(3),
  dtUs: fc.constantFrom(0, 1000, 60_000, 500_000, 2.5e6, 23e6),
  response: fc.constantFrom(0, -1, -1009, 5),
  bytes: fc.uint8Array({ maxLength: 80 }),
});

function run(config: ShimConfig, steps: Step[], seed: number): void {
  let x = seed >>> 0;
  const random = () => (x = (Math.imul(x, 1664525) + 1013904223) >>> 0);
  const m = new ShimMachine(config, random);
  const hash = (h: number) => Uint8Array.of(h, h, h, h);
  const addr = (w: number) => Uint8Array.of(2, 0, 0, 0, 0, w);
  const waiting = new Set<number>();
  const asks: number[] = [];
  const eids: number[] = [];
  const dropping: number[] = [];
  /** Flows that the IRMd has closed and wants to hear of. */
  const leaving = new Set<number>();
  const known = new Set<number>();
  let nowUs = 0;
  let token = 0;
  const open = () => {
    waiting.add(++token);
    return token;
  };
  const drain = () => {
    for (let e = m.poll(); e !== undefined; e = m.poll()) {
      switch (e.kind) {
        case "answer":
          assert(waiting.delete(e.token), "answered twice, or somebody who never asked");
          break;
        case "ask_irmd":
          asks.push(e.ask);
          break;
        case "own":
          // Some users' pools cannot be opened.
          m.owned(nowUs, e.flowId, e.uid === 1 ? -12 : 0);
          break;
        case "drop":
          dropping.push(e.flowId);
          break;
        case "freed":
          assert(leaving.delete(e.flowId), `freed ${e.flowId} that nobody closed`);
          break;
        case "release":
          assert(known.has(e.flowId));
          leaving.delete(e.flowId);
          break;
        case "open":
          assert(known.has(e.flow.flowId), `opened unknown flow ${e.flow.flowId}`);
          eids.push(e.flow.localEid);
          break;
        case "alloc_reply":
          assert(known.has(e.flowId));
          break;
        case "send":
          assert(e.bytes.length <= config.mgmtBytesMax);
          assert(!isWireError(config.codec.parse(e.bytes, config.hashBytes)));
      }
    }
  };
  const mgmt = (from: Uint8Array, message: ShimMgmt) => {
    const b = new Uint8Array(config.codec.encodedLength(message));
    if (!isWireError(config.codec.encode(message, b, 0))) m.onMgmt(nowUs, from, b);
  };
  for (const s of steps) {
    nowUs += s.dtUs;
    m.onTimer(nowUs);
    drain();
    const data = s.bytes;
    switch (s.what) {
      case 0:
        m.names.register(hash(s.hash));
        break;
      case 1:
        m.names.remove(hash(s.hash));
        break;
      case 2:
        m.query(nowUs, hash(s.hash), open());
        break;
      case 3:
        m.resolved(nowUs, hash(s.hash), s.who === 0 ? "nowhere" : addr(s.who));
        break;
      case 4:
        known.add(s.flow);
        m.alloc(nowUs, { flowId: s.flow, pid: 1, uid: 0 }, hash(s.hash), QOS.raw, data, open());
        break;
      case 5:
        m.allocResp(
          nowUs,
          { flowId: s.flow, pid: 1, uid: s.who },
          { response: s.response, data },
          open(),
        );
        break;
      case 6:
        if (m.dealloc(nowUs, s.flow, s.hash) === 0) leaving.add(s.flow);
        break;
      case 7: {
        const ask = asks.shift();
        if (ask === undefined) break;
        known.add(s.flow);
        m.asked(nowUs, ask, { result: Math.min(s.response, 0), flowId: s.flow, pid: 1 });
        break;
      }
      case 8:
        mgmt(addr(s.who), { kind: "name_reply", hash: hash(s.hash) });
        break;
      case 9:
        mgmt(addr(s.who), {
          kind: "flow_req",
          requesterEid: 2 + s.flow,
          qos: QOS.raw,
          hash: hash(s.hash),
          data,
        });
        break;
      case 10: {
        const requesterEid = eids.at(-1 - s.flow) ?? s.flow;
        const reply = { requesterEid, responderEid: 2 + s.flow, response: s.response, data };
        mgmt(addr(s.who), { kind: "flow_reply", ...reply });
        break;
      }
      case 11:
        m.onMgmt(nowUs, addr(s.who), data);
        break;
      case 12:
        m.setReach(s.who === 0 ? "no device" : undefined);
        break;
      case 13: {
        const flowId = dropping.shift();
        if (flowId !== undefined) m.dropped(nowUs, flowId);
      }
    }
    drain();
    assert(m.deadlineUs() >= nowUs);
  }
  nowUs += 60e6;
  m.onTimer(nowUs);
  drain();
  m.close(nowUs);
  drain();
  assertEquals([...waiting], []);
  assertEquals(m.flowCount, 0);
}

for (const config of CONFIGS) {
  Deno.test(`${config.codec.name} machine keeps its promises under random histories`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.nat(), (steps, seed) => {
        run(config, steps, seed);
      }),
      { numRuns: fuzzRuns(600) },
    );
  });
}

Deno.test("link messages of any bytes are survived", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (b) => {
      if (b.length > 6) b.set([b.length, 0, 0, 0, 16 + (b[6]! & 1), 0]);
      for (const change of parseLinks(b)) {
        assert(change.mac === undefined || change.mac.length === 6);
      }
    }),
    { numRuns: fuzzRuns(3000) },
  );
});
