// CEP and enrollment messages: bytes against unicast.json and ipcp.json, refusals, properties.

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { fromFileUrl } from "@std/path";
import fc from "fast-check";
import { type CepMsg, decodeCepMsg, encodeCepMsg } from "../../../../lib/wire/cep_msg.ts";
import {
  decodeEnrollAck,
  decodeEnrollReq,
  decodeEnrollResp,
  encodeEnrollAck,
  encodeEnrollReq,
  encodeEnrollResp,
  type EnrollResp,
} from "../../../../lib/wire/enroll_msg.ts";
import { isWireError, WireError } from "../../../../lib/wire/mod.ts";
import { arbConfig } from "../irm/arbitrary.ts";

interface Vector {
  name: string;
  kind?: string;
  // deno-lint-ignore no-explicit-any -- the shape differs per kind
  input: any;
  hex: string;
  rc?: number;
  parsed?: Record<string, unknown>;
}

function vectors(file: string): Vector[] {
  const path = fromFileUrl(new URL(`../../../vectors/${file}`, import.meta.url));
  return JSON.parse(Deno.readTextFileSync(path)).cases;
}

function cepOf(v: Record<string, unknown>): CepMsg {
  return {
    compName: v.comp_name as string,
    protocol: v.protocol as string,
    prefVersion: v.pref_version as number,
    prefSyntax: v.pref_syntax as number,
    address: BigInt(v.address as string | number),
  };
}

Deno.test("vectors ipcp.json cep/: encode and decode byte for byte", async (t) => {
  const cases = vectors("ipcp.json").filter((v) => v.name.startsWith("cep/"));
  for (const v of cases) {
    await t.step(v.name, () => {
      assertEquals(encodeCepMsg(cepOf(v.input)).toHex(), v.hex);
      assertEquals(decodeCepMsg(Uint8Array.fromHex(v.hex)), cepOf(v.input));
    });
  }
});

const MINE = /^(cep|enroll)/;

Deno.test("vectors unicast.json cep*, enroll*: every kind is walked", async (t) => {
  const cases = vectors("unicast.json").filter((v) => MINE.test(v.kind ?? v.name));
  for (const v of cases) await t.step(v.name, () => walk(v));
});

function walk(v: Vector): void {
  const bytes = Uint8Array.fromHex(v.hex);
  const id = v.input?.id === undefined ? undefined : Uint8Array.fromHex(v.input.id);
  switch (v.kind) {
    case "cep":
      assertEquals(encodeCepMsg(cepOf(v.input)).toHex(), v.hex);
      assertEquals(decodeCepMsg(bytes), cepOf(v.input));
      return;
    case "cep_parse": {
      const m = decodeCepMsg(bytes);
      assertEquals(isWireError(m), v.rc !== 0);
      if (v.parsed !== undefined) assertEquals(m, cepOf(v.parsed));
      return;
    }
    case "enroll_req":
      assertEquals(encodeEnrollReq({ id: id! }).toHex(), v.hex);
      assertEquals(decodeEnrollReq(bytes), { id });
      return;
    case "enroll_req_parse":
      assertEquals(isWireError(decodeEnrollReq(bytes)), v.rc !== 0);
      return;
    case "enroll_ack":
      assertEquals(encodeEnrollAck({ id: id!, result: v.input.result }).toHex(), v.hex);
      assertEquals(decodeEnrollAck(bytes), { id, result: v.input.result });
      return;
    case "enroll_resp": {
      const i = v.input;
      const m: EnrollResp = {
        id: id!,
        tSec: BigInt(i.t_sec),
        tNsec: i.t_nsec,
        response: i.response,
      };
      if (i.response === 0) {
        m.conf = {
          layerInfo: { name: i.layer, dirHashAlgo: i.dir_hash_algo },
          ipcpType: 1,
          unicast: {
            dt: {
              addrSize: i.addr_size,
              eidSize: i.eid_size,
              maxTtl: i.max_ttl,
              routing: {
                pol: i.routing_pol,
                ls: { pol: i.ls_pol, tRecalc: i.t_recalc, tUpdate: i.t_update, tTimeo: i.t_timeo },
              },
            },
            dir: {
              pol: i.dir_pol,
              dht: {
                alpha: i.dht.alpha,
                k: i.dht.k,
                tExpire: i.dht.t_expire,
                tRefresh: i.dht.t_refresh,
                tReplicate: i.dht.t_replicate,
                peer: BigInt(i.dht.peer),
              },
            },
            addrAuthType: i.addr_auth_type,
            congAvoid: i.cong_avoid,
          },
        };
      }
      assertEquals(encodeEnrollResp(m).toHex(), v.hex);
      assertEquals(decodeEnrollResp(bytes), m);
      return;
    }
    default:
      throw new Error(`unknown kind ${v.kind} of ${v.name}`);
  }
}

Deno.test("decodeEnrollResp() refuses a response of 0 without configuration and ids of other lengths", () => {
  const ok = { id: new Uint8Array(8), tSec: 1n, tNsec: 0, response: -1 };
  assert(!isWireError(decodeEnrollResp(encodeEnrollResp(ok))));
  assertInstanceOf(decodeEnrollResp(encodeEnrollResp({ ...ok, response: 0 })), WireError);
  for (const n of [0, 7, 9]) {
    const id = new Uint8Array(n);
    assertInstanceOf(decodeEnrollResp(encodeEnrollResp({ ...ok, id })), WireError, `${n}`);
    assertInstanceOf(decodeEnrollAck(encodeEnrollAck({ id, result: 0 })), WireError, `${n}`);
  }
});

Deno.test("decode(encode(m)) is m for any CEP and enrollment message", () => {
  const i32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
  const word = fc.string({ maxLength: 30, unit: "grapheme-ascii" });
  const cep = fc.record({
    compName: word,
    protocol: word,
    prefVersion: i32,
    suppVersion: fc.array(i32, { minLength: 1, maxLength: 3 }),
    prefSyntax: i32,
    suppSyntax: fc.array(i32, { minLength: 1, maxLength: 3 }),
    syntaxSpec: fc.record({ fids: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }) }),
    address: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
  }, { requiredKeys: ["compName", "protocol", "prefVersion", "prefSyntax", "address"] });
  fc.assert(fc.property(cep, (m) => assertEquals(decodeCepMsg(encodeCepMsg(m as CepMsg)), m)));
  const resp = fc.record({
    id: fc.uint8Array({ minLength: 8, maxLength: 8 }),
    tSec: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    tNsec: i32,
    response: i32,
    conf: arbConfig,
  });
  fc.assert(fc.property(resp, (m) => assertEquals(decodeEnrollResp(encodeEnrollResp(m)), m)));
});

Deno.test("decodeCepMsg() reads a window of a buffer and packed numbers", () => {
  const m: CepMsg = { compName: "a", protocol: "b", prefVersion: 1, prefSyntax: 0, address: 5n };
  const bytes = encodeCepMsg(m);
  for (const fill of [0, 0xa5]) {
    const room = new Uint8Array(bytes.length + 20).fill(fill);
    room.set(bytes, 7);
    assertEquals(decodeCepMsg(room, 7, 7 + bytes.length), m);
  }
  assertInstanceOf(decodeCepMsg(bytes, 0, bytes.length + 1), WireError);
  const packed = Uint8Array.fromHex(bytes.toHex() + "2203010203" + "2004");
  assertEquals(decodeCepMsg(packed), { ...m, suppVersion: [1, 2, 3, 4] });
  assertInstanceOf(decodeCepMsg(Uint8Array.fromHex(bytes.toHex() + "22030102")), WireError);
  assertInstanceOf(decodeCepMsg(Uint8Array.fromHex(bytes.toHex() + "220180")), WireError);
});
