// Random messages for properties and fuzzing.

import fc from "fast-check";
import { anyText } from "../../../support/text.ts";
import type { IpcpConfig, IpcpMsg, IrmMsg } from "../../../../lib/irm/messages.ts";

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const i32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffffffffffffffffn });
const name = fc.oneof(
  fc.string({ maxLength: 63, unit: "grapheme-ascii" }),
  anyText(20).filter((s) => !s.includes("\0")),
).filter((s) => new TextEncoder().encode(s).length <= 255);
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });

/** A record of optional members, absent (not undefined) when not chosen. */
function some<T extends object>(required: object, optional: object): fc.Arbitrary<T> {
  const model = { ...required, ...optional } as Record<string, fc.Arbitrary<unknown>>;
  return fc.record(model, { requiredKeys: Object.keys(required) }) as unknown as fc.Arbitrary<T>;
}

export const arbQos = fc.record({
  delay: u32,
  bandwidth: u64,
  availability: u32,
  loss: u32,
  ber: u32,
  inOrder: u32,
  maxGap: u32,
  timeout: u32,
});

const flowInfo = some(
  { id: u32, nPid: u32, n1Pid: u32, mpl: u32, state: u32, qos: arbQos, uid: u32 },
  { sduBytesMax: u32, sduBytesWhole: u32 },
);
const layerInfo = fc.record({ name, dirHashAlgo: u32 });
const addr16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const ls = fc.record({ pol: u32, tRecalc: u32, tUpdate: u32, tTimeo: u32 });
const dht = fc.record({
  alpha: u32,
  k: u32,
  tExpire: u32,
  tRefresh: u32,
  tReplicate: u32,
  peer: u64,
});
const unicast = fc.record({
  dt: fc.record({ addrSize: u32, eidSize: u32, maxTtl: u32, routing: fc.record({ pol: u32, ls }) }),
  dir: fc.record({ pol: u32, dht }),
  addrAuthType: u32,
  congAvoid: u32,
});

export const arbConfig = fc.oneof(
  fc.record({ layerInfo, ipcpType: fc.constantFrom(0, 2) }),
  fc.record({ layerInfo, ipcpType: fc.constant(1), unicast }),
  fc.record({
    layerInfo,
    ipcpType: fc.constantFrom(3, 4),
    eth: fc.record({ dev: name, ethertype: u32 }),
  }),
  fc.record({
    layerInfo,
    ipcpType: fc.constant(5),
    udp4: fc.record({ ipAddr: u32, port: u32, dnsAddr: u32 }),
  }),
  fc.record({
    layerInfo,
    ipcpType: fc.constant(6),
    udp6: fc.record({ ipAddr: addr16, port: u32, dnsAddr: addr16 }),
  }),
) as fc.Arbitrary<IpcpConfig>;

const nameInfo = some(
  { name, polLb: u32, skey: name, scrt: name, ckey: name, ccrt: name },
  { senc: name, cenc: name },
);
const ipcpInfo = fc.record({ type: u32, name, pid: u32, state: u32 });
const ipcpEntry = fc.record({ pid: u32, type: u32, name, layer: name, hashAlgo: u32 });
const timeo = fc.record({ sec: u64, nsec: fc.nat(999999999) });
const line = fc.string({ maxLength: 40, unit: "grapheme-ascii" });
const error = fc.record({ stage: line, process: line, cause: line });
const list = <T>(a: fc.Arbitrary<T>) => fc.array(a, { minLength: 1, maxLength: 4 });

export const arbIrmMsg: fc.Arbitrary<IrmMsg> = some<IrmMsg>({ code: i32 }, {
  prog: name,
  pid: i32,
  name,
  flowInfo,
  ipcpInfo,
  nameInfo,
  layer: name,
  exec: list(name),
  response: i32,
  dst: name,
  hash: bytes(64),
  flowId: i32,
  qos: arbQos,
  conf: arbConfig,
  opts: u32,
  ipcps: list(ipcpEntry),
  names: list(nameInfo),
  timeo,
  mpl: i32,
  comp: name,
  pk: bytes(2000),
  timeoSec: u32,
  timeoNsec: u32,
  result: i32,
  symKey: bytes(40),
  cipherNid: i32,
  error,
});

export const arbIpcpMsg: fc.Arbitrary<IpcpMsg> = some<IpcpMsg>({ code: i32 }, {
  hash: bytes(64),
  flowId: i32,
  dst: name,
  qos: arbQos,
  pk: bytes(2000),
  conf: arbConfig,
  pid: i32,
  layerInfo,
  response: i32,
  comp: name,
  timeoSec: u32,
  mpl: i32,
  result: i32,
  uid: u32,
  error,
});
