/**
 * The areas of vectors/flowlib.json beside `frct/` (vectors_test.ts) and `crypt/`, `keyschedule/` (lib/crypt): CRC, cubes,
 * requests to the IRMd, real exchanges. An area nobody knows fails.
 */
import { assert, assertEquals } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding";
import { crc32 } from "../../../../lib/crc32.ts";
import { BufferPool, createFrct } from "../../../../lib/frct/mod.ts";
import { decodeIrmMsg, encodeIrmMsg, IrmCode } from "../../../../lib/irm/messages.ts";
import { QOS, QOS_NP1, qosCube, type QosSpec } from "../../../../lib/qos.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";
import { newFrctPci, parseFrctPci, PciFlag } from "../../../../lib/wire/frct_pci.ts";

interface Case {
  name: string;
  hex: string;
  input: Record<string, unknown>;
  packets?: { t_ms: number; dir: "tx" | "rx"; hex: string }[];
}

const file = JSON.parse(
  Deno.readTextFileSync(new URL("../../../vectors/flowlib.json", import.meta.url)),
) as { cases: Case[] };

const SPECS: Record<string, Readonly<QosSpec>> = {
  "spec-raw": QOS.raw,
  "spec-raw_no_errors": QOS.raw_no_errors,
  "spec-best_effort": QOS.best,
  "spec-video": QOS.video,
  "spec-voice": QOS.voice,
  "spec-data": QOS.data,
  "spec-np1": QOS_NP1,
};

/** Which request an `irm/` case holds, by the start of its name. */
const REQUESTS: [string, number][] = [
  ["flow_alloc_reply", IrmCode.IPCP_FLOW_ALLOC_REPLY],
  ["flow_alloc", IrmCode.IRM_FLOW_ALLOC],
  ["flow_accept", IrmCode.IRM_FLOW_ACCEPT],
  ["flow_join", IrmCode.IRM_FLOW_JOIN],
  ["flow_dealloc", IrmCode.IRM_FLOW_DEALLOC],
  ["proc_announce", IrmCode.IRM_PROC_ANNOUNCE],
  ["proc_exit", IrmCode.IRM_PROC_EXIT],
  ["ipcp_flow_req_arr", IrmCode.IPCP_FLOW_REQ_ARR],
  ["ipcp_flow_alloc_reply", IrmCode.IPCP_FLOW_ALLOC_REPLY],
  ["ipcp_flow_dealloc", IrmCode.IPCP_FLOW_DEALLOC],
  ["ipcp_create_r", IrmCode.IPCP_CREATE_R],
];

const AREAS: Record<string, (c: Case, rest: string) => void> = {
  crc32: (c) => {
    const data = decodeHex(c.input.data as string);
    assertEquals(crc32(data) >>> 0, c.input.crc32_u32);
    assertEquals((crc32(data) >>> 0).toString(16).padStart(8, "0"), c.hex);
  },
  qoscube: (c, rest) => {
    const n = (k: string) => Number(c.input[k]);
    const spec: QosSpec = {
      delay: n("delay"),
      bandwidth: BigInt(c.input.bandwidth as string),
      availability: n("availability"),
      loss: n("loss"),
      ber: n("ber"),
      inOrder: n("in_order"),
      maxGap: n("max_gap"),
      timeout: n("timeout"),
    };
    assertEquals(qosCube(spec), parseInt(c.hex, 16));
    if (rest in SPECS) assertEquals({ ...SPECS[rest]! }, spec);
  },
  irm: (c, rest) => {
    const message = decodeIrmMsg(decodeHex(c.hex));
    if (isWireError(message)) throw new Error(`Cannot decode request: ${message}`);
    const request = REQUESTS.find(([name]) => rest.startsWith(name));
    if (request === undefined) throw new Error(`Cannot walk case: unknown request "${rest}"`);
    assertEquals(message.code, request[1]);
    assertEquals(encodeHex(encodeIrmMsg(message)), c.hex);
  },
  capture: (c) => replay(c),
};
/** Walked elsewhere. */
const ELSEWHERE = new Set(["frct", "crypt", "keyschedule"]);

/**
 * Plays the client's side of a captured exchange: what the server sent comes in at its time, what the client wrote is
 * written at its time, and our data packets must be those of the capture, byte for byte.
 */
function replay(c: Case): void {
  const flow = c.input.flow as string;
  const inOrder = /ord=1/.test(flow);
  const packets = c.packets!;
  if (!inOrder) { // raw: the payload is the packet
    for (const p of packets) assert(p.hex.length % 2 === 0);
    return;
  }
  const first = newFrctPci();
  const opening = decodeHex(packets.find((p) => p.dir === "tx")!.hex);
  assertEquals(parseFrctPci(opening, 0, opening.length, first), 0);
  const buffers = new BufferPool();
  const ep = createFrct(1, {
    reliable: /loss=0/.test(flow),
    mplMs: Number(/mpl=(\d+)/.exec(flow)![1]),
    initialSeqno: first.seqno,
    buffers,
  });
  const out = new Uint8Array(2048);
  let compared = 0;
  const drain = (nowUs: number) => {
    while (ep.poll(nowUs, out, 0) > 0) { /* acknowledgements: compared in vectors_test.ts */ }
  };
  for (const p of packets) {
    const nowUs = 1e9 + p.t_ms * 1000;
    const b = decodeHex(p.hex);
    while (ep.deadlineUs() <= nowUs) {
      const t = ep.deadlineUs();
      ep.onTimer(t);
      drain(t);
    }
    if (b.length === 0) continue; // keepalive
    if (p.dir === "rx") {
      const data = (b[0]! & PciFlag.DATA) !== 0;
      ep.onPacket(nowUs, b, 0, b.length);
      assertEquals(ep.pendingBytes(), data ? b.length - 12 : -1);
      const n = data ? ep.read(nowUs, out, 0, out.length) : 0;
      assertEquals(encodeHex(out.subarray(0, n)), data ? encodeHex(b.subarray(12)) : "");
      drain(nowUs);
    } else if ((b[0]! & PciFlag.DATA) !== 0) {
      const n = ep.write(nowUs, b, 12, b.length - 12, out, 0);
      assertEquals(encodeHex(out.subarray(0, n)), p.hex);
      compared++;
    }
  }
  assert(compared > 0);
  ep.dispose();
  assertEquals(buffers.live, 0);
}

for (const c of file.cases) {
  const [area, rest] = [
    c.name.slice(0, c.name.indexOf("/")),
    c.name.slice(c.name.indexOf("/") + 1),
  ];
  if (ELSEWHERE.has(area)) continue;
  Deno.test(`flowlib ${c.name}`, () => {
    const walk = AREAS[area];
    if (walk === undefined) throw new Error(`Cannot walk case: unknown area "${area}"`);
    walk(c, rest);
  });
}
