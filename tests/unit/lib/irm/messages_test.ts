// irm_msg and ipcp_msg: bytes against the vectors, refusals, additions, properties. The live exchanges
// (groups sequence, script, sim) are replayed against the daemon in tests/e2e; here only their bytes count.

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import fc from "fast-check";
import {
  decodeIpcpMsg,
  decodeIrmMsg,
  encodeIpcpMsg,
  encodeIrmMsg,
  flowInfoOf,
  IpcpCode,
  type IpcpMsg,
  IrmCode,
  irmCodeName,
  type IrmMsg,
  sduLimitsOf,
  timeoMs,
  timeoOfMs,
  WireValueError,
} from "../../../../lib/irm/messages.ts";
import { isWireError, WireError } from "../../../../lib/wire/mod.ts";
import { allIrmdVectors, GROUPS, irmdVectors, valueOf } from "./vectors.ts";
import { arbIpcpMsg, arbIrmMsg } from "./arbitrary.ts";

function checkCodec(name: string, message: string, fields: unknown, hex: string): void {
  const value = valueOf(message, fields as never);
  const bytes = Uint8Array.fromHex(hex);
  if (message === "irm_msg") {
    assertEquals(encodeIrmMsg(value as IrmMsg).toHex(), hex, name);
    assertEquals(decodeIrmMsg(bytes), value, name);
  } else {
    assertEquals(message, "ipcp_msg", name);
    assertEquals(encodeIpcpMsg(value as IpcpMsg).toHex(), hex, name);
    assertEquals(decodeIpcpMsg(bytes), value, name);
  }
}

Deno.test("vectors irmd.json: there are cases, and every group has a walker", () => {
  assert(allIrmdVectors().length > 0);
  for (const v of allIrmdVectors()) {
    assert(v.name.split("/")[0]! in GROUPS, `no test walks the group of ${v.name}`);
  }
});

for (const group of ["msg", "client", "codec"]) {
  Deno.test(`vectors irmd.json ${group}/: encode and decode byte for byte`, async (t) => {
    const cases = irmdVectors(group);
    for (const v of cases) {
      await t.step(v.name, () => checkCodec(v.name, v.input.message, v.input.fields, v.hex!));
    }
  });
}

Deno.test("vectors irmd.json undecodable/: accepted or refused as said", async (t) => {
  const cases = irmdVectors("undecodable");
  for (const v of cases) {
    await t.step(v.name, () => {
      const decode = v.input.message === "ipcp_msg" ? decodeIpcpMsg : decodeIrmMsg;
      assertEquals(!isWireError(decode(Uint8Array.fromHex(v.hex!))), v.input.accepted);
    });
  }
});

Deno.test("vectors irmd.json sequence/ and script/: all packets are ours too", async (t) => {
  for (const v of [...irmdVectors("sequence"), ...irmdVectors("script")]) {
    await t.step(v.name, () => {
      assert(v.input.steps.length > 0);
      for (const s of v.input.steps) {
        const message = String(s.socket ?? "irm.sock").startsWith("ipcp.") ? "ipcp_msg" : "irm_msg";
        for (const part of ["request", "reply"]) {
          if (s[part] === null || s[part] === undefined) continue;
          const hex: string = s[`${part}_hex`];
          // A packet with "$A" for a pid holds the pid of the capture: compare its re-encoding only.
          if (JSON.stringify(s[part]).includes('"$')) {
            const bytes = Uint8Array.fromHex(hex);
            const m = message === "irm_msg" ? decodeIrmMsg(bytes) : decodeIpcpMsg(bytes);
            if (isWireError(m)) throw new Error(`${v.name}: ${m}`);
            const again = message === "irm_msg"
              ? encodeIrmMsg(m as IrmMsg)
              : encodeIpcpMsg(m as IpcpMsg);
            assertEquals(again.toHex(), hex);
          } else checkCodec(v.name, message, s[part], hex);
        }
      }
    });
  }
});

const hexOf = (m: IrmMsg) => encodeIrmMsg(m).toHex();
const decodeHex = (hex: string) => decodeIrmMsg(Uint8Array.fromHex(hex));

Deno.test("decodeIrmMsg() names the field that is missing, at any depth", () => {
  // flow_info without qos, inside an alloc
  const bad = decodeHex("08142a0a0800100118002000280038005a0178");
  assertInstanceOf(bad, WireError);
  assertEquals(bad.toString(), "irm_msg.flow_info.qos: missing");
  const empty = decodeIrmMsg(new Uint8Array(0));
  assertInstanceOf(empty, WireError);
  assertEquals(empty.toString(), "irm_msg.code: missing");
});

Deno.test("decodeIrmMsg() skips unknown fields of every wire type, refuses groups", () => {
  const base = hexOf({ code: 4 });
  const varint = "e8078101"; // field 125
  const bits64 = "e9070102030405060708";
  const length = "ea0703aabbcc";
  const bits32 = "ed0701020304";
  assertEquals(decodeHex(varint + bits64 + base + length + bits32), { code: 4 });
  for (const cut of ["e907010203", "ea0705aabbcc", "ed070102", "e80781"]) {
    assertInstanceOf(decodeHex(base + cut), WireError, cut);
  }
  assertInstanceOf(decodeHex(base + "eb07ec07"), WireError, "group");
  assertInstanceOf(decodeHex(base + "0201"), WireError, "field number 0");
});

Deno.test("decodeIrmMsg(): of a repeated scalar the last wins, of a sub-message the fields merge", () => {
  assertEquals(decodeHex("080408051801" + "1804"), { code: 5, pid: 2 });
  const first = flowInfoOf({ id: 1, nPid: 7 });
  const second = flowInfoOf({ id: 2, nPid: 8 });
  const both = hexOf({ code: 20, flowInfo: first }) +
    hexOf({ code: 20, flowInfo: second }).slice(4);
  assertEquals(decodeHex(both), { code: 20, flowInfo: second });
});

Deno.test("decodeIrmMsg() refuses a known field with another wire type", () => {
  const bad = decodeHex("0804" + "1a0101"); // pid as bytes
  assertInstanceOf(bad, WireError);
  assert(!(bad instanceof WireValueError));
});

Deno.test("decodeIrmMsg() tells bad values from bad bytes", () => {
  const text = (n: number) => "a".repeat(n);
  const value = (m: IrmMsg) => decodeIrmMsg(encodeIrmMsg(m));
  assert(!isWireError(value({ code: 16, name: text(255) })));
  assertInstanceOf(value({ code: 16, name: text(256) }), WireValueError);
  assert(!isWireError(value({ code: 16, name: "é".repeat(127) })));
  assertInstanceOf(value({ code: 16, name: "é".repeat(128) }), WireValueError);
  assertInstanceOf(value({ code: 16, name: "a\0b" }), WireValueError);
  assertInstanceOf(decodeHex("0810" + "2202c328"), WireValueError, "not UTF-8");
  const info = { name: "n", polLb: 0, skey: "", scrt: "", ckey: "", ccrt: "" };
  assert(!isWireError(value({ code: 15, nameInfo: { ...info, skey: text(511) } })));
  assertInstanceOf(value({ code: 15, nameInfo: { ...info, ccrt: text(512) } }), WireValueError);
  assert(!isWireError(value({ code: 25, hash: new Uint8Array(64) })));
  assertInstanceOf(value({ code: 25, hash: new Uint8Array(65) }), WireValueError);
  assertInstanceOf(value({ code: 21, timeo: { sec: 1n, nsec: 1e9 } }), WireValueError);
  // A bad value does not hide that the rest is not a message.
  const both = decodeHex(hexOf({ code: 16, name: text(256) }) + "ffffffff");
  assertInstanceOf(both, WireError);
  assert(!(both instanceof WireValueError));
});

Deno.test("decodeIrmMsg() refuses an IPCP configuration without the part for its type", () => {
  const layerInfo = { name: "l", dirHashAlgo: 1 };
  for (const ipcpType of [1, 3, 4, 5, 6, 7, 99]) {
    const m = { code: 5, pid: 1, conf: { layerInfo, ipcpType } } as IrmMsg;
    assertInstanceOf(decodeIrmMsg(encodeIrmMsg(m)), WireValueError, `type ${ipcpType}`);
  }
  for (const ipcpType of [0, 2] as const) {
    const m: IrmMsg = { code: 5, pid: 1, conf: { layerInfo, ipcpType } };
    assertEquals(decodeIrmMsg(encodeIrmMsg(m)), m);
  }
  const udp6 = { ipAddr: new Uint8Array(15), port: 1, dnsAddr: new Uint8Array(16) };
  const m: IrmMsg = { code: 5, pid: 1, conf: { layerInfo, ipcpType: 6, udp6 } };
  assertInstanceOf(decodeIrmMsg(encodeIrmMsg(m)), WireValueError, "address of 15 bytes");
});

Deno.test("decodeIrmMsg() needs ls for link state and dht for the DHT", () => {
  const layerInfo = { name: "l", dirHashAlgo: 1 };
  const ls = { pol: 0, tRecalc: 1, tUpdate: 1, tTimeo: 1 };
  const dht = { alpha: 3, k: 8, tExpire: 1, tRefresh: 1, tReplicate: 1, peer: 0n };
  const conf = (routing: object, dir: object) =>
    encodeIrmMsg({
      code: 5,
      pid: 1,
      conf: {
        layerInfo,
        ipcpType: 1,
        unicast: {
          dt: { addrSize: 4, eidSize: 8, maxTtl: 60, routing: { pol: 0, ...routing } },
          dir: { pol: 0, ...dir },
          addrAuthType: 0,
          congAvoid: 1,
        },
      },
    });
  assert(!isWireError(decodeIrmMsg(conf({ ls }, { dht }))));
  assertInstanceOf(decodeIrmMsg(conf({}, { dht })), WireValueError);
  assertInstanceOf(decodeIrmMsg(conf({ ls }, {})), WireValueError);
});

Deno.test("encodeIrmMsg() carries an error detail as one line of limited length", () => {
  const error = { stage: "query", process: "irmd", cause: `a\nb${"é".repeat(600)}` };
  const m = decodeIrmMsg(encodeIrmMsg({ code: 27, result: -1007, error }));
  if (isWireError(m)) throw new Error(m.toString());
  assertEquals(m.result, -1007);
  assert(m.error!.cause.startsWith("a bé"));
  assert(new TextEncoder().encode(m.error!.cause).length <= 512);
});

Deno.test("the additions sit where the prototype skips them", () => {
  const plain = hexOf({ code: 27, result: -1 });
  const more = hexOf({ code: 27, result: -1, error: { stage: "a", process: "b", cause: "c" } });
  assert(more.startsWith(plain));
  const info = { name: "n", polLb: 1, skey: "", scrt: "", ckey: "", ccrt: "" };
  const old = hexOf({ code: 15, nameInfo: info });
  const now = hexOf({ code: 15, nameInfo: { ...info, senc: "/s", cenc: "/c" } });
  assert(now.slice(8).startsWith(old.slice(8)));
  assertEquals(decodeHex(now), { code: 15, nameInfo: { ...info, senc: "/s", cenc: "/c" } });
});

Deno.test("flow_info with the layer's limits: fields 100 and 101 behind the prototype's bytes", () => {
  const info = flowInfoOf({ id: 5, nPid: 6, n1Pid: 7, mpl: 100, state: 3 });
  const plain = hexOf({ code: 27, flowInfo: info, result: 0 });
  assertEquals(
    hexOf({ code: 27, flowInfo: { ...info, sduBytesMax: undefined }, result: 0 }),
    plain,
  );
  const told = { ...info, sduBytesMax: 8976, sduBytesWhole: 1468 };
  const more = hexOf({ code: 27, flowInfo: told, result: 0 });
  // code, then flow_info with its length, then result.
  const [from, length] = [8, Number.parseInt(plain.slice(6, 8), 16)];
  const body = plain.slice(from, from + 2 * length) + "a0069046a806bc0b";
  const rest = plain.slice(from + 2 * length);
  assertEquals(more, `081b2a${(length + 8).toString(16)}${body}${rest}`);
  assertEquals(decodeHex(more), { code: 27, flowInfo: told, result: 0 });
});

Deno.test("sduLimitsOf() ignores 0 and a second limit that limits nothing", () => {
  assertEquals(sduLimitsOf(flowInfoOf({})), {});
  assertEquals(sduLimitsOf({ sduBytesMax: 0, sduBytesWhole: 7 }), {});
  assertEquals(sduLimitsOf({ sduBytesWhole: 7 }), {});
  assertEquals(sduLimitsOf({ sduBytesMax: 9, sduBytesWhole: 0 }), { sduBytesMax: 9 });
  assertEquals(sduLimitsOf({ sduBytesMax: 9, sduBytesWhole: 9 }), { sduBytesMax: 9 });
  const both = { sduBytesMax: 9, sduBytesWhole: 8 };
  assertEquals(sduLimitsOf({ ...flowInfoOf({}), ...both }), both);
});

Deno.test("timeoMs() rounds up and caps, timeoOfMs() is its inverse", () => {
  assertEquals(timeoMs({ sec: 0n, nsec: 1 }), 1);
  assertEquals(timeoMs({ sec: 2, nsec: 500000000 }), 2500);
  assertEquals(timeoMs({ sec: 0x7fffffffffffffffn, nsec: 0 }), Infinity);
  assertEquals(timeoOfMs(1500), { sec: 1n, nsec: 500000000 });
  assertEquals(timeoOfMs(-3), { sec: 0n, nsec: 0 });
  fc.assert(fc.property(fc.nat(1e9), (ms) => timeoMs(timeoOfMs(ms)) === ms));
});

Deno.test("irmCodeName() names known codes and shows others as numbers", () => {
  assertEquals(irmCodeName(IrmCode.IRM_FLOW_ALLOC), "IRM_FLOW_ALLOC");
  assertEquals(irmCodeName(99), "99");
  // The prototype's, and ours from 100 on.
  const prototypes = (codes: object) => new Set(Object.values(codes).filter((c) => c < 100)).size;
  assertEquals([prototypes(IrmCode), prototypes(IpcpCode)], [27, 12]);
  const all = Object.values(IrmCode);
  assertEquals(new Set(all).size, all.length);
});

Deno.test("decode(encode(m)) is m for any irm_msg", () => {
  fc.assert(fc.property(arbIrmMsg, (m) => assertEquals(decodeIrmMsg(encodeIrmMsg(m)), m)));
});

Deno.test("decode(encode(m)) is m for any ipcp_msg", () => {
  fc.assert(fc.property(arbIpcpMsg, (m) => assertEquals(decodeIpcpMsg(encodeIpcpMsg(m)), m)));
});

Deno.test("every proper prefix of a message is refused or is a message of fewer fields", () => {
  const m = encodeIrmMsg({
    code: 20,
    dst: "server",
    flowInfo: flowInfoOf({ nPid: 4321 }),
    timeo: { sec: 1n, nsec: 5 },
  });
  let whole = 0;
  for (let n = 0; n < m.length; n++) if (!isWireError(decodeIrmMsg(m.subarray(0, n)))) whole++;
  assertEquals(whole, 3); // after code, after flow_info, after dst
});
