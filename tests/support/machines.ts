// Builders for control machines in a given state, under a fake clock and a counted "random".

import { QOS } from "../../lib/qos.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import type { FlowReply, ShimMgmt, ShimMgmtCodec } from "../../lib/wire/shim_mgmt.ts";
import { dixMgmt } from "../../lib/wire/eth_mgmt.ts";
import type { FlowOrder, Machine } from "../../ipcp/machine.ts";
import type { ShimConfig, ShimEffect } from "../../ipcp/shim/effects.ts";
import { ShimMachine } from "../../ipcp/shim/machine.ts";

export const MAC_A = Uint8Array.of(2, 0, 0, 0, 0, 10);
export const MAC_B = Uint8Array.of(2, 0, 0, 0, 0, 11);
export const MAC_EVIL = Uint8Array.of(2, 0, 0, 0, 0, 66);
export const SRV = new Uint8Array(32).fill(0x51);
export const OTHER = new Uint8Array(32).fill(0x52);
export const OAP = Uint8Array.of(1, 2, 3, 4);

export const DIX: ShimConfig = {
  codec: dixMgmt,
  eids: { first: 1, last: 0xffff, quarantineUs: 120e6, mplUs: 100_000 },
  hashBytes: 32,
  mgmtBytesMax: 1496,
  names: "ask",
  network: [0, 6],
};

/** A linear congruential "random": reproducible, spread over 32 bits. */
export function seeded(seed = 1): () => number {
  let x = seed >>> 0;
  return () => (x = (Math.imul(x, 1664525) + 1013904223) >>> 0);
}

export function machine(config: ShimConfig = DIX, seed = 1): ShimMachine {
  return new ShimMachine(config, seeded(seed));
}

/** Everything that a machine asks for. */
export function drain<E>(m: Machine<E>): E[] {
  const effects: E[] = [];
  for (let e = m.poll(); e !== undefined; e = m.poll()) effects.push(e);
  return effects;
}

export function bytesOf(m: ShimMgmt, codec: ShimMgmtCodec = dixMgmt): Uint8Array {
  const b = new Uint8Array(codec.encodedLength(m));
  if (isWireError(codec.encode(m, b, 0))) throw new Error("does not encode");
  return b;
}

export function parsed(effect: ShimEffect | undefined, config: ShimConfig = DIX): ShimMgmt {
  if (effect?.kind !== "send") throw new Error(`no send but ${effect?.kind}`);
  const m = config.codec.parse(effect.bytes, config.hashBytes);
  if (isWireError(m)) throw new Error(m.toString());
  return m;
}

/** The flow reply that an effect sends. */
export function replyOf(effect: ShimEffect | undefined, config: ShimConfig = DIX): FlowReply {
  const m = parsed(effect, config);
  if (m.kind !== "flow_reply") throw new Error(`no reply but ${m.kind}`);
  return m;
}

export function request(eid = 64, hash = SRV, data = OAP): ShimMgmt {
  return { kind: "flow_req", requesterEid: eid, qos: QOS.raw, hash, data };
}

export function reply(requesterEid: number, responderEid: number, response = 0): FlowReply {
  return { kind: "flow_reply", requesterEid, responderEid, response, data: OAP };
}

/** A flow as the IRMd describes it. */
export function order(flowId: number, uid = 0): FlowOrder {
  return { flowId, pid: 4000 + flowId, uid };
}

/** FLOW_ALLOC: what it is answered with, and what else the machine asks for. */
export function alloc(
  m: ShimMachine,
  nowUs: number,
  flowId: number,
  data = OAP,
): { result: number; effects: ShimEffect[] } {
  m.alloc(nowUs, order(flowId), SRV, QOS.raw, data, 7777);
  const all = drain(m);
  const answer = all.find((e) => e.kind === "answer" && e.token === 7777);
  if (answer?.kind !== "answer") throw new Error("no answer");
  return { result: answer.result, effects: all.filter((e) => e !== answer) };
}

/** FLOW_ALLOC_RESP of an acceptor whose pool can be used. */
export function verdict(m: ShimMachine, nowUs: number, flowId: number, response: number): void {
  m.allocResp(nowUs, order(flowId), { response, data: OAP }, 5);
}

/** What a machine asks for when the pools of acceptors can be used. */
export function drainOwned(m: ShimMachine, nowUs: number): ShimEffect[] {
  const effects: ShimEffect[] = [];
  for (let e = m.poll(); e !== undefined; e = m.poll()) {
    if (e.kind === "own") m.owned(nowUs, e.flowId, 0);
    else effects.push(e);
  }
  return effects;
}

/** FLOW_DEALLOC without linger, and nothing is left in the data path: the result. */
export function dealloc(m: ShimMachine, nowUs: number, flowId: number): number {
  const result = m.dealloc(nowUs, flowId, 0);
  m.dropped(nowUs, flowId);
  return result;
}

/** A machine that knows SRV at B and has requested flow `flowId` to it; gives its endpoint id. */
export function requested(m: ShimMachine, nowUs: number, flowId: number): number {
  if (m.cache.get(nowUs, SRV) === undefined) {
    m.query(nowUs, SRV, 999);
    m.onMgmt(nowUs, MAC_B, bytesOf({ kind: "name_reply", hash: SRV }));
  }
  drain(m);
  const { result, effects } = alloc(m, nowUs, flowId);
  if (result !== 0) throw new Error("alloc failed");
  const req = parsed(effects.find((e) => e.kind === "send"));
  if (req.kind !== "flow_req") throw new Error("no request");
  return req.requesterEid;
}
