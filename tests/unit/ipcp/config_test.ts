// What a bootstrap says, checked; hosts files and nsupdate scripts; link messages of the kernel.

import { assert, assertEquals } from "@std/assert";
import { HashAlgo, type IpcpConfig, IpcpType } from "../../../lib/irm/messages.ts";
import { parseLinks } from "../../../lib/wire/rtnetlink.ts";
import { ethSettings, layerMtu } from "../../../ipcp/eth/config.ts";
import { udpLimits, udpSettings } from "../../../ipcp/udp/config.ts";
import { nameHash } from "../../../lib/hash.ts";
import { nsupdateScript, parseHosts } from "../../../ipcp/udp/resolver.ts";

const layerInfo = { name: "l", dirHashAlgo: HashAlgo.MD5 };

function dix(dev: string, ethertype: number): IpcpConfig {
  return { layerInfo, ipcpType: IpcpType.ETH_DIX, eth: { dev, ethertype } };
}

Deno.test("ethSettings() takes ethertypes 0x0600..0xFFFE and device names of 1..15 bytes", () => {
  for (const ethertype of [0x0600, 0xa000, 0xfffe]) {
    assertEquals(ethSettings(dix("eth0", ethertype), true), { dev: "eth0", ethertype });
  }
  for (const ethertype of [0, 0x05ff, 0xffff, 0x10000]) {
    assert("code" in ethSettings(dix("eth0", ethertype), true));
  }
  assert(!("code" in ethSettings(dix("x".repeat(15), 0xa000), true)));
  for (const dev of ["", "x".repeat(16), "é".repeat(8)]) {
    assert("code" in ethSettings(dix(dev, 0xa000), true), dev);
  }
});

Deno.test("ethSettings() ignores the ethertype of LLC, which is whatever the tool had in memory", () => {
  const eth = { dev: "eth0", ethertype: 30862 };
  const conf: IpcpConfig = { layerInfo, ipcpType: IpcpType.ETH_LLC, eth };
  assertEquals(ethSettings(conf, false), { dev: "eth0", ethertype: 0 });
  assert("code" in ethSettings(conf, true));
});

Deno.test("udpLimits() is what a datagram holds, and below it what the path's MTU leaves in one piece", () => {
  assertEquals(udpLimits(4, 8976, undefined), { sduBytesMax: 8976 });
  assertEquals(udpLimits(4, 8976, 1500), { sduBytesMax: 8976, sduBytesWhole: 1468 });
  assertEquals(udpLimits(6, 8948, 1500), { sduBytesMax: 8948, sduBytesWhole: 1448 });
  assertEquals(udpLimits(4, 8976, 9000), { sduBytesMax: 8976, sduBytesWhole: 8968 });
  assertEquals(udpLimits(6, 8948, 9000), { sduBytesMax: 8948 });
  assertEquals(udpLimits(4, 8976, 65536), { sduBytesMax: 8976 });
  assertEquals(udpLimits(4, 8976, 32), { sduBytesMax: 8976 });
});

Deno.test("layerMtu() caps LLC at 1500 and the loopback at 9000", () => {
  assertEquals(layerMtu("eth0", 1500, true), 1500);
  assertEquals(layerMtu("eth0", 9000, true), 9000);
  assertEquals(layerMtu("eth0", 9000, false), 1500);
  assertEquals(layerMtu("lo", 65536, true), 9000);
  assertEquals(layerMtu("eth0", 70000, true), 65535);
});

Deno.test("udpSettings() reads addresses of both families and refuses ports outside 1..65535", () => {
  const udp4 = { ipAddr: 16777482, port: 3435, dnsAddr: 0 };
  const conf: IpcpConfig = { layerInfo, ipcpType: IpcpType.UDP4, udp4 };
  assertEquals(udpSettings(conf), {
    family: 4,
    ip: Uint8Array.of(10, 1, 0, 1),
    text: "10.1.0.1",
    port: 3435,
    dns: undefined,
  });
  for (const port of [0, 65536]) {
    assert("code" in udpSettings({ ...conf, udp4: { ...udp4, port } }));
  }
  const six = new Uint8Array(16);
  six[15] = 1;
  const udp6 = { ipAddr: six, port: 1, dnsAddr: six };
  const settings = udpSettings({ layerInfo, ipcpType: IpcpType.UDP6, udp6 });
  assert(!("code" in settings) && settings.text === "::1" && settings.dns === "::1");
});

Deno.test("parseHosts() finds all addresses of a name, aliases too, and skips comments", () => {
  const text = "# 1.1.1.1 x\n10.0.0.1 a x # y\n\n::1\tx\n10.0.0.2 xx\n10.0.0.3 y x";
  assertEquals(parseHosts(text, "x").addresses, ["10.0.0.1", "::1", "10.0.0.3"]);
  assertEquals(parseHosts(text, "z"), { addresses: [], wrong: undefined });
});

Deno.test("parseHosts() takes what people write: the name, hex in either case, a mark, CRLF", () => {
  const host = "0b5eb3bf05d5f6f0ec3bb2e6d3ea4ec2";
  const md5 = (nameHash(HashAlgo.MD5, "my.server") as Uint8Array).toHex();
  for (
    const [text, wanted] of [
      ["10.0.0.1 my.server", md5],
      [`\ufeff10.0.0.1 ${host}`, host],
      [`10.0.0.1\t${host.toUpperCase()}\r\n`, host],
      [`\r10.0.0.1 other my.server\r`, md5],
      [`fe80::1%eth0 x\n10.0.0.1 ${host}#x`, host],
    ] as const
  ) assertEquals(parseHosts(text, wanted), { addresses: ["10.0.0.1"], wrong: undefined }, text);
});

Deno.test("parseHosts() says which line is none", () => {
  for (
    const [text, wrong] of [
      ["\n10.0.0.300 x", 'line 2 begins with "10.0.0.300", no address'],
      ["x 10.0.0.1", 'line 1 begins with "x", no address'],
      ["10.0.0.1", "line 1 has no name"],
      ["# y\n10.0.0.1 # x\nfoo x", "line 2 has no name"],
      ["10.0.0.1, x", 'line 1 begins with "10.0.0.1,", no address'],
    ] as const
  ) assertEquals(parseHosts(text, "x"), { addresses: [], wrong }, text);
});

Deno.test("nsupdateScript() adds and deletes, AAAA for IPv6", () => {
  assertEquals(
    nsupdateScript("10.0.0.53", "ab", "A", "10.0.0.1"),
    "server 10.0.0.53\nupdate add ab 86400 A 10.0.0.1\nsend\nquit\n",
  );
  assertEquals(
    nsupdateScript("::53", "ab", "AAAA", undefined),
    "server ::53\nupdate delete ab AAAA\nsend\nquit\n",
  );
});

/** One link message. */
function link(
  type: number,
  index: number,
  flags: number,
  attrs: [number, Uint8Array][],
): Uint8Array {
  const parts = attrs.map(([t, v]) => {
    const b = new Uint8Array((4 + v.length + 3) & ~3);
    new DataView(b.buffer).setUint16(0, 4 + v.length, true);
    new DataView(b.buffer).setUint16(2, t, true);
    b.set(v, 4);
    return b;
  });
  const b = new Uint8Array(32 + parts.reduce((n, p) => n + p.length, 0));
  const v = new DataView(b.buffer);
  v.setUint32(0, b.length, true);
  v.setUint16(4, type, true);
  v.setInt32(20, index, true);
  v.setUint32(24, flags, true);
  let at = 32;
  for (const p of parts) {
    b.set(p, at);
    at += p.length;
  }
  return b;
}

Deno.test("parseLinks() reads index, state, MTU and MAC, of several messages in a row", () => {
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 1);
  const mtu = new Uint8Array(new Uint32Array([1500]).buffer);
  const name = new TextEncoder().encode("va\0");
  const up = link(16, 7, 0x41, [[1, mac], [3, name], [4, mtu], [99, Uint8Array.of(1)]]);
  const down = link(16, 8, 0x01, []);
  const gone = link(17, 9, 0x41, []);
  const other = link(20, 10, 0x41, []);
  assertEquals(parseLinks(Uint8Array.from([...up, ...down, ...other, ...gone])), [
    { index: 7, name: "va", deleted: false, up: true, mtu: 1500, mac },
    { index: 8, name: undefined, deleted: false, up: false, mtu: undefined, mac: undefined },
    { index: 9, name: undefined, deleted: true, up: false, mtu: undefined, mac: undefined },
  ]);
});

Deno.test("parseLinks() does not take a device that leaves a bridge for one that is gone", () => {
  const left = link(17, 9, 0x41, []);
  left[16] = 7; // AF_BRIDGE
  assertEquals(parseLinks(left), []);
});

Deno.test("parseLinks() stops at lengths that do not fit", () => {
  const whole = link(16, 7, 0x41, [[4, new Uint8Array(4)]]);
  for (let n = 0; n < whole.length; n++) assertEquals(parseLinks(whole.subarray(0, n)), []);
  const zero = whole.slice();
  zero[0] = 0;
  assertEquals(parseLinks(zero), []);
});
