// deno-lint-ignore-file camelcase -- the vectors have these names
// The messages of vectors/ipcp.json on the UNIX sockets, CEP, OEP and configurations, both ways; every command
// of the state cases is admitted or refused as captured, and what is admitted gives the captured result as far
// as it needs no device (the rest is in tests/e2e). Every group of the file is walked by some test.

import { assert, assertEquals } from "@std/assert";
import {
  decodeIpcpMsg,
  decodeIrmMsg,
  encodeIpcpMsg,
  encodeIrmMsg,
} from "../../../lib/irm/messages.ts";
import { ipcpConfigSchema } from "../../../lib/wire/ipcp_config.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import * as cep from "../../../lib/wire/cep_msg.ts";
import * as oep from "../../../lib/wire/enroll_msg.ts";
import { ethSettings } from "../../../ipcp/eth/config.ts";
import { LocalMachine } from "../../../ipcp/local/machine.ts";
import { IpcpCode } from "../../../lib/codes.ts";
import { admit, type StateName, type TypeName, typeNumber } from "../../../ipcp/state.ts";
import { inet4OfNumber, udpSettings } from "../../../ipcp/udp/config.ts";
import { formatInet4 } from "../../../lib/inet.ts";
import type { Answer } from "../../../ipcp/machine.ts";
import type { IpcpConfig } from "../../../lib/irm/messages.ts";
import { QUERY_LIFE_US } from "../../../ipcp/shim/name_cache.ts";
import * as t from "../../support/machines.ts";
import { allIpcpVectors, GROUPS, type IpcpVector, ipcpVectors, unhex } from "./vectors.ts";

Deno.test("every group of the vectors is walked by a test", () => {
  const known = new Set<string>(GROUPS);
  const groups = new Set(allIpcpVectors().map((v) => v.name.split("/")[0]!));
  assertEquals([...groups].filter((g) => !known.has(g)), []);
  assertEquals(new Set(allIpcpVectors().map((v) => v.name)).size, allIpcpVectors().length);
});

type Json = Record<string, unknown>;

const KEY: Record<string, string> = { n_1_pid: "n1Pid", qosspec: "qos" };
const BYTES = new Set(["hash", "pk", "sym_key", "id", "ip_addr", "dns_addr"]);
const BIG = new Set(["bandwidth", "address", "peer", "t_sec"]);

/** A vector's object in our property names and types. */
function ours(x: unknown, key = ""): unknown {
  if (BYTES.has(key) && typeof x === "string") return unhex(x);
  if (BIG.has(key)) return BigInt(x as string | number);
  if (Array.isArray(x)) return x.map((y) => ours(y));
  if (typeof x !== "object" || x === null) return x;
  return Object.fromEntries(
    Object.entries(x).map(([k, v]) => {
      const name = KEY[k] ?? k.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
      return [name, ours(v, k)];
    }),
  );
}

interface Codec {
  decode(b: Uint8Array): unknown;
  // deno-lint-ignore no-explicit-any -- one row serves every message type
  encode(m: any): Uint8Array;
}

function bothWays(v: IpcpVector, want: unknown, codec: Codec, hex = v.hex): void {
  const got = codec.decode(unhex(hex));
  assert(!isWireError(got), `${v.name}: ${got}`);
  assertEquals(got, want, v.name);
  assertEquals(codec.encode(got).toHex(), hex, v.name);
}

const ipcpMsg: Codec = { decode: decodeIpcpMsg, encode: encodeIpcpMsg };
const irmMsg: Codec = { decode: decodeIrmMsg, encode: encodeIrmMsg };

Deno.test("ipcp-socket messages of the vectors decode and encode to the same bytes", () => {
  for (const v of ipcpVectors("ipcp-socket")) {
    const input = v.input as Json;
    const message = (input.message ?? input) as Json;
    bothWays(v, ours(message), ipcpMsg);
    if (v.reply !== undefined) bothWays(v, ours(input.expect), ipcpMsg, v.reply);
  }
});

Deno.test("irm-socket messages of the vectors decode and encode to the same bytes", () => {
  for (const v of ipcpVectors("irm-socket")) bothWays(v, ours(v.input), irmMsg);
});

interface StateInput {
  type: TypeName;
  state: StateName;
  message: Json & { code: number };
  expect: { result: number };
}

/** What our pure parts say to a command that was admitted, or undefined if a device decides. */
function resultOf(input: StateInput): number | undefined {
  const { code } = input.message;
  const hash = unhex((input.message.hash as string | undefined) ?? "");
  if (code === IpcpCode.IPCP_QUERY) {
    const m = input.type === "local"
      ? new LocalMachine(hash.length)
      : t.machine({ ...t.DIX, hashBytes: hash.length });
    m.query(0, hash, 1);
    m.onTimer(QUERY_LIFE_US);
    const answer = t.drain<{ kind: string }>(m).find((e) => e.kind === "answer") as Answer;
    return answer.result;
  }
  if (code === IpcpCode.IPCP_REG || code === IpcpCode.IPCP_UNREG) {
    const { names } = t.machine({ ...t.DIX, hashBytes: hash.length });
    if (code === IpcpCode.IPCP_REG) return names.register(hash);
    names.remove(hash);
    return 0;
  }
  if (code === IpcpCode.IPCP_BOOTSTRAP && input.type === "eth-dix") {
    // deno-lint-ignore no-explicit-any -- the vector has the shape of a configuration
    const settings = ethSettings(ours(input.message.conf) as any, true);
    return "code" in settings ? settings.code : undefined;
  }
  return undefined;
}

Deno.test("every command is admitted, refused and answered as captured, by type and state", () => {
  let decided = 0;
  for (const v of ipcpVectors("ipcp-socket/state")) {
    const input = v.input as StateInput;
    const refused = admit(input.type, input.state, input.message.code);
    const want = input.expect.result;
    if (refused !== 0) assertEquals(refused, want, v.name);
    else {
      assert(want !== -95 && want !== -1004, `${v.name} was admitted`);
      const result = resultOf(input);
      if (result !== undefined) {
        assertEquals(result, want, v.name);
        decided++;
      }
    }
  }
  assert(decided > 0);
});

Deno.test("CEP messages of the vectors decode and encode to the same bytes", () => {
  const codec: Codec = { decode: cep.decodeCepMsg, encode: cep.encodeCepMsg };
  for (const v of ipcpVectors("cep")) bothWays(v, ours(v.input), codec);
});

function oepCodec(input: Json): Codec {
  if ("t_sec" in input) return { decode: oep.decodeEnrollResp, encode: oep.encodeEnrollResp };
  if ("result" in input) return { decode: oep.decodeEnrollAck, encode: oep.encodeEnrollAck };
  return { decode: oep.decodeEnrollReq, encode: oep.encodeEnrollReq };
}

Deno.test("OEP messages of the vectors decode and encode to the same bytes", () => {
  for (const v of ipcpVectors("oep")) bothWays(v, ours(v.input), oepCodec(v.input as Json));
});

Deno.test("captured conversations are CEP and OEP messages throughout", () => {
  for (const v of ipcpVectors("conversation")) {
    const input = v.input as Json;
    const isCep = "comp_name" in input;
    assert(isCep || "id" in input, `${v.name} is neither`);
    const codec = isCep ? { decode: cep.decodeCepMsg, encode: cep.encodeCepMsg } : oepCodec(input);
    bothWays(v, ours(input), codec);
  }
});

/** What our IPCP of a type makes of its configuration; the others have only what decoding shows. */
function settingsOf(type: TypeName, conf: IpcpConfig) {
  if (type === "udp4" || type === "udp6") return udpSettings(conf);
  if (type === "eth-dix" || type === "eth-llc") return ethSettings(conf, type === "eth-dix");
  return undefined;
}

Deno.test("configurations of the vectors decode, encode and mean what they say", () => {
  for (const v of ipcpVectors("ipcp-config")) {
    const input = v.input as Record<string, string | number>;
    const conf = ipcpConfigSchema.decode(unhex(v.hex));
    if (isWireError(conf)) throw new Error(`${v.name}: ${conf}`);
    assertEquals(ipcpConfigSchema.encode(conf).toHex(), v.hex);
    assertEquals([conf.layerInfo.name, conf.layerInfo.dirHashAlgo], [input.layer, input.hash]);
    const type = input.type as TypeName;
    assertEquals(typeNumber(type), conf.ipcpType, v.name);
    const settings = settingsOf(type, conf);
    assert(settings === undefined || !("code" in settings), v.name);
    // LLC has no ethertype: the prototype's is what happened to be in memory (spec 50 §4.2).
    const { text: ip, port, dns, dev, ethertype } = { ...settings } as Record<string, unknown>;
    const meant = { ip, port, dns, dev, ethertype: type === "eth-llc" ? undefined : ethertype };
    for (const [word, value] of Object.entries(meant)) {
      if (value !== undefined && word in input) {
        assertEquals(value, input[word], `${v.name}: ${word}`);
      }
    }
  }
});

Deno.test("inet4OfNumber() reads an address as it travels", () => {
  assertEquals(formatInet4(inet4OfNumber(16777482)), "10.1.0.1");
});

Deno.test("CEP and OEP decoding refuses what is too long or has no 8-byte id", () => {
  assert(isWireError(cep.decodeCepMsg(new Uint8Array(129))));
  assert(isWireError(oep.decodeEnrollReq(Uint8Array.of(0x0a, 1, 5))));
  assert(isWireError(oep.decodeEnrollAck(unhex("0a04000102031000"))));
});
