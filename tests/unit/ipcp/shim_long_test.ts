// Requests and answers that are longer than the lower layer carries: two machines of ours, and one of ours with a
// prototype that does not know pieces.

import { assert, assertEquals } from "@std/assert";
import { QOS } from "../../../lib/qos.ts";
import { dixMgmt, llcMgmt } from "../../../lib/wire/eth_mgmt.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import { isPieceMsg } from "../../../lib/wire/mgmt_piece.ts";
import { MGMT_BYTES_MAX, udpMgmt } from "../../../lib/wire/udp_mgmt.ts";
import { ASKING_UNPROVEN_PER_NAME_MAX } from "../../../ipcp/arrivals.ts";
import { NETWORK_BYTES, REFLECTED_TIMES } from "../../../ipcp/shim/allowance.ts";
import type { ShimConfig, ShimEffect } from "../../../ipcp/shim/effects.ts";
import { ShimMachine } from "../../../ipcp/shim/machine.ts";
import * as t from "../../support/machines.ts";

const LLC: ShimConfig = {
  ...t.DIX,
  codec: llcMgmt,
  eids: { first: 2, last: 63, quarantineUs: 120e6, mplUs: 100_000 },
};
const UDP: ShimConfig = {
  codec: udpMgmt,
  eids: { first: 1, last: 0xfffffffe, quarantineUs: 120e6, mplUs: 5e6 },
  hashBytes: 16,
  mgmtBytesMax: MGMT_BYTES_MAX,
  names: "resolve",
  network: [4, 7],
};

const long = (n: number, salt: number) =>
  Uint8Array.from({ length: n }, (_, i) => i * salt + i >> 8);

/** A client at A and a server at B, with a flow request on its way. */
class Link {
  readonly client: ShimMachine;
  readonly server: ShimMachine;
  readonly said: string[] = [];
  readonly longest = { packet: 0 };
  /** Messages of these kinds are lost on their way to the server. */
  readonly lost = new Set<string>();
  nowUs = 0;
  readonly hash: Uint8Array;

  constructor(readonly config: ShimConfig, readonly prototype: boolean) {
    this.client = new ShimMachine(config, t.seeded(1));
    this.server = new ShimMachine(config, t.seeded(2));
    this.hash = t.SRV.slice(0, config.hashBytes);
    this.server.names.register(this.hash);
    this.client.cache.set(0, this.hash, t.MAC_B);
  }

  run(answer: Uint8Array, untilUs: number): void {
    for (;;) {
      const said = this.#step("client", this.client, this.server, t.MAC_A, answer) ||
        this.#step("server", this.server, this.client, t.MAC_B, answer);
      if (said) continue;
      const at = Math.min(this.client.deadlineUs(), this.server.deadlineUs());
      if (at > untilUs) return;
      this.nowUs = Math.max(at, this.nowUs);
      this.client.onTimer(this.nowUs);
      this.server.onTimer(this.nowUs);
    }
  }

  #step(
    who: string,
    from: ShimMachine,
    to: ShimMachine,
    addr: Uint8Array,
    answer: Uint8Array,
  ): boolean {
    const e = from.poll();
    if (e === undefined) return false;
    if (e.kind === "send") return this.#carry(e, to, addr);
    if (e.kind === "own") from.owned(this.nowUs, e.flowId, 0);
    if (e.kind === "ask_irmd") {
      this.said.push(`asked ${e.data.length}`);
      from.asked(this.nowUs, e.ask, { result: 0, flowId: 9, pid: 1 });
      from.allocResp(this.nowUs, t.order(9), { response: 0, data: answer }, 5);
    }
    if (e.kind === "answer") this.said.push(`${who} answered ${e.result}`);
    if (e.kind === "alloc_reply") this.said.push(`${who} reply ${e.response} ${e.data.length}`);
    if (e.kind === "release") this.said.push(`${who} released`);
    if (e.kind === "alloc_reply" && e.response === 0) {
      assertEquals(e.data.toHex(), answer.toHex());
    }
    return true;
  }

  #carry(e: ShimEffect & { kind: "send" }, to: ShimMachine, addr: Uint8Array): boolean {
    const { codec, hashBytes, mgmtBytesMax } = this.config;
    assert(e.bytes.length <= mgmtBytesMax, `a packet of ${e.bytes.length}`);
    const m = codec.parse(e.bytes, hashBytes);
    assert(!isWireError(m));
    if (to === this.server && this.lost.has((m as { kind: string }).kind)) return true;
    if (!this.prototype || !isPieceMsg(m as { kind: string })) to.onMgmt(this.nowUs, addr, e.bytes);
    return true;
  }
}

for (const config of [t.DIX, LLC, UDP]) {
  const { name } = config.codec;
  Deno.test(`${name}: a post-quantum request and answer get through in pieces`, () => {
    const link = new Link(config, false);
    const request = long(14_000, 3);
    const answer = long(19_000, 5);
    link.client.alloc(0, t.order(7), link.hash, QOS.raw, request, 1);
    link.run(answer, 5e6);
    assertEquals(link.said, [
      "client answered 0",
      "asked 14000",
      "server answered 0",
      "client reply 0 19000",
    ]);
    assertEquals([link.client.flowState(7), link.server.flowState(9)], ["open", "open"]);
  });

  Deno.test(`${name}: a prototype's server does not take pieces: refused in less than a second`, () => {
    const link = new Link(config, true);
    link.client.alloc(0, t.order(7), link.hash, QOS.raw, long(14_000, 3), 1);
    link.run(t.OAP, 1e6);
    assertEquals(link.said, ["client answered 0", "client reply -90 0", "client released"]);
    assertEquals(link.client.flowCount, 0);
  });

  Deno.test(`${name}: an answer that a prototype's client cannot take fails at both ends at once`, () => {
    const link = new Link(config, true);
    link.client.alloc(0, t.order(7), link.hash, QOS.raw, t.OAP, 1);
    link.run(long(19_000, 5), 1e6);
    assertEquals(link.said.toSorted(), [
      "asked 4",
      "client answered 0",
      "client released",
      "client reply -90 0",
      "server answered -90",
      "server released",
    ]);
    assertEquals([link.client.flowCount, link.server.flowCount], [0, 0]);
  });
}

Deno.test("an answer beyond 64 KiB fails at both ends at once, between our own nodes too", () => {
  const link = new Link(t.DIX, false);
  link.client.alloc(0, t.order(7), link.hash, QOS.raw, t.OAP, 1);
  link.run(new Uint8Array(70_000), 1);
  assert(link.said.includes("server answered -90") && link.said.includes("client reply -90 0"));
});

Deno.test("a long answer goes to nobody who has not shown that it receives", () => {
  const m = new ShimMachine(t.DIX, t.seeded());
  m.names.register(t.SRV);
  const asked = t.bytesOf(t.request());
  m.onMgmt(0, t.MAC_EVIL, asked);
  let sent = 0;
  const run = (): void => {
    for (let e = m.poll(); e !== undefined; e = m.poll()) {
      if (e.kind === "ask_irmd") {
        m.asked(0, e.ask, { result: 0, flowId: 9, pid: 1 });
        m.allocResp(0, t.order(9), { response: 0, data: long(19_000, 5) }, 5);
      } else if (e.kind === "own") m.owned(0, e.flowId, 0);
      else if (e.kind === "send") sent += e.bytes.length;
    }
  };
  run();
  assert(sent > 0 && sent <= 3 * asked.length, `${sent} to a request of ${asked.length}`);
  m.onTimer(150_000);
  run();
  assert(sent <= 3 * asked.length, `${sent} to a request of ${asked.length}`);
  assertEquals(dixMgmt.name, "eth-dix");
});

for (const config of [t.DIX, LLC, UDP]) {
  const { name } = config.codec;
  Deno.test(`${name}: a request that is lost goes again in pieces, and is asked about once`, () => {
    for (const lost of [["flow_req"], []]) {
      const link = new Link(config, false);
      for (const kind of lost) link.lost.add(kind);
      link.client.alloc(0, t.order(7), link.hash, QOS.raw, t.OAP, 1);
      link.run(t.OAP, 2e6);
      assertEquals(link.said.toSorted(), [
        "asked 4",
        "client answered 0",
        "client reply 0 4",
        "server answered 0",
      ]);
      assertEquals(link.client.deadlineUs(), Infinity);
    }
  });
}

Deno.test("a prototype's server that is slow gets its request once, and may answer late", () => {
  const link = new Link(t.DIX, true);
  link.lost.add("flow_req");
  link.client.alloc(0, t.order(7), link.hash, QOS.raw, t.OAP, 1);
  link.run(t.OAP, 5e6);
  assertEquals([link.said, link.client.flowState(7)], [["client answered 0"], "requested"]);
});

Deno.test("however many addresses forge requests, who shows that it receives is asked about at once", () => {
  const m = new ShimMachine(t.DIX, t.seeded());
  m.names.register(t.SRV);
  const forged = (k: number) => Uint8Array.of(6, 6, 6, k >> 16, k >> 8, k);
  let asked = 0;
  const drain = () => {
    const sent = [];
    for (let e = m.poll(); e !== undefined; e = m.poll()) {
      if (e.kind === "ask_irmd") asked += 1;
      if (e.kind === "send") sent.push(e.bytes);
    }
    return sent;
  };
  for (let k = 0; k < 10_000; k++) m.onMgmt(0, forged(k), t.bytesOf(t.request(1 + k % 100)));
  drain();
  const before = asked;
  assertEquals(before, ASKING_UNPROVEN_PER_NAME_MAX);
  // Its request waits behind theirs, or was dropped.
  const whole = t.bytesOf(t.request(500));
  m.onMgmt(1, t.MAC_A, whole);
  assertEquals([drain(), asked], [[], before]);
  m.onMgmt(2, t.MAC_A, t.bytesOf({ kind: "piece_ask", id: 7, total: whole.length }));
  const go = dixMgmt.parse(drain()[0]!, 32);
  if (isWireError(go) || go.kind !== "piece_go") throw new Error("no proof");
  const { proof } = go;
  const piece = { kind: "piece", id: 7, total: whole.length, at: 0, proof, bytes: whole } as const;
  m.onMgmt(3, t.MAC_A, t.bytesOf(piece));
  drain();
  assertEquals(asked, before + 1);
  // Played again, it is a copy.
  m.onMgmt(4, t.MAC_A, t.bytesOf(piece));
  drain();
  assertEquals(asked, before + 1);
});

Deno.test("answers to forged requests stay below three times their length, but for an allowance", () => {
  const m = new ShimMachine(UDP, t.seeded());
  const hash = t.SRV.slice(0, UDP.hashBytes);
  m.names.register(hash);
  let [received, sent] = [0, 0];
  for (let k = 1; k <= 300; k++) {
    const request = t.bytesOf(t.request(k, hash), UDP.codec);
    received += request.length;
    m.onMgmt(k, t.MAC_EVIL, request);
    for (let e = m.poll(); e !== undefined; e = m.poll()) {
      if (e.kind === "ask_irmd") {
        m.asked(k, e.ask, { result: 0, flowId: k, pid: 1 });
        m.allocResp(k, t.order(k), { response: 0, data: long(1200, 5) }, k);
      } else if (e.kind === "own") m.owned(k, e.flowId, 0);
      else if (e.kind === "send") sent += e.bytes.length;
    }
  }
  assert(sent <= REFLECTED_TIMES * received + NETWORK_BYTES, `${sent} for ${received}`);
});
