// deno-lint-ignore-file camelcase -- the vectors have these names
// The captured frames and datagrams of vectors/ipcp.json through the wire modules of the shims, both
// ways. The socket, CEP and OEP groups are proved in tests/unit/ipcp.

import { assert, assertEquals } from "@std/assert";
import { QOS_ZERO, type QosSpec } from "../../../../lib/qos.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";
import * as frame from "../../../../lib/wire/eth_frame.ts";
import { dixMgmt, llcMgmt } from "../../../../lib/wire/eth_mgmt.ts";
import * as udp from "../../../../lib/wire/udp_mgmt.ts";
import type { ShimMgmt, ShimMgmtCodec } from "../../../../lib/wire/shim_mgmt.ts";
import { ipcpVectors, unhex } from "../../ipcp/vectors.ts";

interface MgmtInput {
  code: number;
  response: number;
  qos: Record<string, number | string>;
  hash?: string;
  data: string;
  hash_algo?: string;
  [id: string]: unknown;
}

interface FrameInput {
  eid: number;
  dst_mac: string;
  src_mac: string;
  ethertype: string;
  length: number;
  dsap: number;
  ssap: number;
  dsap_wire: number;
  ssap_wire: number;
  mgmt?: MgmtInput;
  payload?: string;
}

const HASH_BYTES: Record<string, number> = {
  sha3_224: 28,
  sha3_256: 32,
  sha3_384: 48,
  sha3_512: 64,
  crc32: 4,
  md5: 16,
};

function qosOf(q: Record<string, number | string>): QosSpec {
  return {
    delay: Number(q.delay),
    bandwidth: BigInt(q.bandwidth!),
    availability: Number(q.availability),
    loss: Number(q.loss),
    ber: Number(q.ber),
    inOrder: Number(q.in_order),
    maxGap: Number(q.max_gap),
    timeout: Number(q.timeout),
  };
}

/** What a vector says, in our terms; `ids` are the requester's and responder's ids of a reply. */
function expected(m: MgmtInput, base: number, requester: number, ids: [number, number]): ShimMgmt {
  const data = unhex(m.data ?? "");
  switch (m.code - base) {
    case 0:
      return {
        kind: "flow_req",
        requesterEid: requester,
        qos: qosOf(m.qos),
        hash: unhex(m.hash!),
        data,
      };
    case 1:
      assertEquals(qosOf(m.qos), { ...QOS_ZERO });
      return {
        kind: "flow_reply",
        requesterEid: ids[0],
        responderEid: ids[1],
        response: m.response,
        data,
      };
    case 2:
      return { kind: "name_query", hash: unhex(m.hash!) };
    case 3:
      return { kind: "name_reply", hash: unhex(m.hash!) };
    default:
      throw new Error(`unknown management code ${m.code}`);
  }
}

function bothWays(
  codec: ShimMgmtCodec,
  want: ShimMgmt,
  bytes: Uint8Array,
  hashBytes: number,
): void {
  const got = codec.parse(bytes, hashBytes);
  assert(!isWireError(got), String(got));
  assertEquals(got, want);
  const out = new Uint8Array(codec.encodedLength(want) + 16).fill(0xa5);
  assertEquals(codec.encode(want, out, 8), bytes.length);
  assertEquals(out.subarray(8, 8 + bytes.length), bytes);
  assert(out.subarray(0, 8).every((x) => x === 0xa5), "wrote before");
  assert(out.subarray(8 + bytes.length).every((x) => x === 0xa5), "wrote behind");
}

const mac = (s: string) => unhex(s.replaceAll(":", ""));

function checkDix(input: FrameInput, bytes: Uint8Array): void {
  const out = { deid: 0, seid: 0, start: 0, end: 0 };
  assertEquals(frame.parseDix(bytes, 0, bytes.length, Number(input.ethertype), out), 0);
  assertEquals([out.deid, out.seid, out.end - out.start], [input.eid, 0, input.length]);
  const payload = bytes.subarray(out.start, out.end);
  const header = new Uint8Array(frame.DIX_HEADER_BYTES);
  const [dst, src] = [mac(input.dst_mac), mac(input.src_mac)];
  frame.encodeDix(dst, src, Number(input.ethertype), input.eid, input.length, header, 0);
  assertEquals(header, bytes.slice(0, frame.DIX_HEADER_BYTES));
  if (input.mgmt === undefined) return assertEquals(payload, unhex(input.payload!));
  const { mgmt } = input;
  const [seid, deid] = [Number(mgmt.seid), Number(mgmt.deid)];
  const want = expected(mgmt, 0, seid, [deid, seid]);
  bothWays(dixMgmt, want, payload, HASH_BYTES[mgmt.hash_algo ?? "sha3_256"]!);
}

function checkLlc(input: FrameInput, bytes: Uint8Array): void {
  const out = { deid: 0, seid: 0, start: 0, end: 0 };
  assertEquals(frame.parseLlc(bytes, 0, bytes.length, out), 0);
  assertEquals([out.deid, out.seid], [input.dsap, input.ssap]);
  assertEquals(out.end - out.start + 3, input.length);
  assertEquals(frame.reverseBits(input.dsap), input.dsap_wire);
  const payload = bytes.subarray(out.start, out.end);
  const header = new Uint8Array(frame.LLC_HEADER_BYTES);
  const [dst, src] = [mac(input.dst_mac), mac(input.src_mac)];
  frame.encodeLlc(dst, src, input.dsap, input.ssap, payload.length, header, 0);
  assertEquals(header, bytes.slice(0, frame.LLC_HEADER_BYTES));
  if (input.mgmt === undefined) return assertEquals(payload, unhex(input.payload!));
  const { mgmt } = input;
  const [ssap, dsap] = [Number(mgmt.ssap), Number(mgmt.dsap)];
  const want = expected(mgmt, 0, ssap, [dsap, ssap]);
  bothWays(llcMgmt, want, payload, HASH_BYTES[mgmt.hash_algo ?? "sha3_256"]!);
}

function checkUdp(input: FrameInput, bytes: Uint8Array): void {
  assertEquals(udp.parseEid(bytes, 0, bytes.length), input.eid);
  if (input.mgmt === undefined) {
    const out = new Uint8Array(4);
    udp.encodeEid(input.eid, out, 0);
    assertEquals(out, bytes.slice(0, 4));
    return assertEquals(bytes.subarray(udp.EID_BYTES), unhex(input.payload!));
  }
  const { mgmt } = input;
  const [seid, deid] = [Number(mgmt.s_eid), Number(mgmt.d_eid)];
  const want = expected(mgmt, 1, seid, [seid, deid]);
  bothWays(udp.udpMgmt, want, bytes, udp.HASH_BYTES);
}

const CHECK: Record<string, (input: FrameInput, bytes: Uint8Array) => void> = {
  "eth-dix": checkDix,
  "eth-llc": checkLlc,
  udp4: checkUdp,
  udp6: checkUdp,
};

for (const [group, check] of Object.entries(CHECK)) {
  Deno.test(`${group} frames of the vectors parse and encode to the same bytes`, () => {
    let n = 0;
    for (const v of ipcpVectors(group)) {
      if (v.name.includes("/behaviour/")) continue;
      try {
        check(v.input as FrameInput, unhex(v.hex));
      } catch (e) {
        throw new Error(`${v.name}: ${e instanceof Error ? e.message : e}`);
      }
      n++;
    }
    assert(n > 0);
  });
}
