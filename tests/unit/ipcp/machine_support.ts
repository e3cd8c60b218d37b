// Builders for shim machines in a given state, under a fake clock and a counted "random".

import { QOS } from "../../../lib/qos.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import type { FlowReply, ShimMgmt, ShimMgmtCodec } from "../../../lib/wire/shim_mgmt.ts";
import { dixMgmt } from "../../../lib/wire/eth_mgmt.ts";
import { type Effect, type ShimConfig, ShimMachine } from "../../../ipcp/shim/machine.ts";

export const MAC_A = Uint8Array.of(2, 0, 0, 0, 0, 10);
export const MAC_B = Uint8Array.of(2, 0, 0, 0, 0, 11);
export const MAC_EVIL = Uint8Array.of(2, 0, 0, 0, 0, 66);
export const SRV = new Uint8Array(32).fill(0x51);
export const OTHER = new Uint8Array(32).fill(0x52);
export const OAP = Uint8Array.of(1, 2, 3, 4);

export const DIX: ShimConfig = {
  codec: dixMgmt,
  eids: { first: 1, last: 0xffff, quarantineMs: 120_000, mplMs: 100 },
  hashBytes: 32,
  mgmtBytesMax: 1496,
  names: "ask",
};

/** A linear congruential "random": reproducible, spread over 32 bits. */
export function seeded(seed = 1): () => number {
  let x = seed >>> 0;
  return () => (x = (Math.imul(x, 1664525) + 1013904223) >>> 0);
}

export function machine(config: ShimConfig = DIX, seed = 1): ShimMachine {
  return new ShimMachine(config, seeded(seed));
}

export function drain(m: ShimMachine): Effect[] {
  const effects: Effect[] = [];
  for (let e = m.poll(); e !== undefined; e = m.poll()) effects.push(e);
  return effects;
}

export function bytesOf(m: ShimMgmt, codec: ShimMgmtCodec = dixMgmt): Uint8Array {
  const b = new Uint8Array(codec.encodedLength(m));
  if (isWireError(codec.encode(m, b, 0))) throw new Error("does not encode");
  return b;
}

export function parsed(effect: Effect | undefined, config: ShimConfig = DIX): ShimMgmt {
  if (effect?.do !== "send") throw new Error(`no send but ${effect?.do}`);
  const m = config.codec.parse(effect.bytes, config.hashBytes);
  if (isWireError(m)) throw new Error(m.toString());
  return m;
}

/** The flow reply that an effect sends. */
export function replyOf(effect: Effect | undefined, config: ShimConfig = DIX): FlowReply {
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

/** A machine that knows SRV at B and has requested flow `flowId` to it; gives its endpoint id. */
export function requested(m: ShimMachine, nowMs: number, flowId: number): number {
  if (m.cache.get(nowMs, SRV) === undefined) {
    m.query(nowMs, SRV, 999);
    m.onMgmt(nowMs, MAC_B, bytesOf({ kind: "name_reply", hash: SRV }));
  }
  drain(m);
  if (m.alloc(nowMs, flowId, SRV, QOS.raw, OAP) !== 0) throw new Error("alloc failed");
  const req = parsed(drain(m).find((e) => e.do === "send"));
  if (req.kind !== "flow_req") throw new Error("no request");
  return req.requesterEid;
}
