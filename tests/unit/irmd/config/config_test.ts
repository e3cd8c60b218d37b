/** The configuration beyond the vectors: order, lines of errors, and what the prototype drops. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { demand } from "./demand.ts";
import {
  type ConfigEntry,
  type IrmdConfig,
  parseConfig,
  resolvePaths,
} from "../../../../irmd/config.ts";
import { splitWords } from "../../../../irmd/config/words.ts";
import { COMP_DATA_TRANSFER, CongAvoid, IpcpType, LsPol } from "../../../../lib/irm/messages.ts";

function good(text: string): IrmdConfig {
  const parsed = parseConfig(text, "f");
  if (Array.isArray(parsed)) throw new Error(parsed.join("\n"));
  return parsed;
}

function first(text: string): ConfigEntry {
  return good(text).entries[0]!;
}

function errors(text: string): string[] {
  const parsed = parseConfig(text, "f");
  if (!Array.isArray(parsed)) throw new Error("no error");
  return parsed.map(String);
}

Deno.test("parseConfig() orders by first appearance of the top-level tables", () => {
  const { entries } = good("[unicast.z]\n[local.a]\n[unicast.y]\n[name.n]\n[local.b]\n");
  assertEquals(entries.map(({ name }) => name), ["z", "y", "a", "b", "n"]);
  assertEquals(entries.map(({ line }) => line), [1, 3, 2, 5, 4]);
});

Deno.test("parseConfig() names file and line of every error, all at once", () => {
  assertEquals(
    errors('[name.a]\nlb = 3\nfoo = 1\n\n[local.l]\nbootstrap = "x"\nhash="MD5"\n[bar]\n'),
    [
      "f:2: lb in [name.a] must be a string, not an integer.",
      "f:3: Unknown key in [name.a]: foo.",
      "f:7: Unknown hash algorithm: MD5." +
      ' "MD5" is none of SHA3_224, SHA3_256, SHA3_384, SHA3_512.',
      "f:8: Unknown toplevel key: bar.",
    ],
  );
});

Deno.test("parseConfig() names the word that was probably meant", () => {
  const udp = '[udp4.n]\nbootstrap="l"\nip="127.0.0.1"\n';
  const unicast = '[unicast.u]\nbootstrap="l"\n';
  for (
    const [text, wanted] of [
      [`${udp}prot=3435\n`, 'Unknown key in [udp4.n]: prot. Did you mean "port"?'],
      ["[eth-dx.n]\n", 'Unknown toplevel key: eth-dx. Did you mean "eth-dix"?'],
      ["[irmd]\nretri=true\n", 'Unknown key in [irmd]: retri. Did you mean "retry"?'],
      ['[name.a]\nlb="round-robbin"\n', 'Did you mean "round-robin"?'],
      [
        `${unicast}routing="linkstate"\n`,
        'none of link-state, lfa, ecmp. Did you mean "link-state"?',
      ],
      [`${unicast}congestion="mbecn"\n`, 'Did you mean "mb-ecn"?'],
      [`${unicast}directory="DTH"\n`, 'Did you mean "DHT"?'],
      [`${unicast}addr-auth="flta"\n`, 'Did you mean "flat"?'],
      [`${unicast}dht_alpha=11\n`, "Invalid alpha value: 11 (from 1 to 10)"],
      [`${udp}port=0x10000\n`, "Invalid port number: 65536 (from 1 to 65535)"],
    ] as const
  ) assertStringIncludes(errors(text)[0]!, wanted);
});

Deno.test("parseConfig() refuses empty names, and IPCPs that cannot be beside each other, before anything is made", () => {
  assertEquals(errors('[local.""]\nbootstrap="l"\n'), ["f:1: Name is empty."]);
  assertEquals(errors('[name.""]\n'), ["f:1: Name is empty."]);
  assertEquals(errors('[local.x]\nbootstrap=""\n'), ["f:2: bootstrap in [local.x] is empty."]);
  assertEquals(errors('[unicast.x]\nenrol=""\n'), ["f:2: enrol in [unicast.x] is empty."]);
  const u = '[unicast.x]\nbootstrap="l"\n';
  for (const key of ["reg", "bind", "conn"]) {
    assertEquals(errors(`${u}${key}=["a", ""]\n`), [
      `f:3: element of ${key} in [unicast.x] is empty.`,
    ]);
  }
  assertEquals(errors(`${u}connect=[{dst="", component="dt"}]\n`), [
    "f:3: dst in connect of [unicast.x] is empty.",
  ]);
  assertEquals(errors(`${u}addr_size=8\n`), ["f:3: addr_size is 8, not 4."]);
  good(`${u}ls_t_timeo=86400\n`);
  for (const key of ["ls_t_recalc", "ls_t_update", "ls_t_timeo"]) {
    assertEquals(errors(`${u}${key}=86401\n`)[0], `f:3: ${key} is 86401, not 1 to 86400.`);
  }
  for (const [text, t, up] of [["ls_t_timeo=15", 15, 15], ["ls_t_update=60", 60, 60]] as const) {
    const sentence = `ls_t_timeo is ${t}, not above ls_t_update (${up}).`;
    assertEquals(errors(`${u}${text}\n`), [`f:3: ${sentence}`]);
  }
  assertEquals(
    errors('[udp4.x]\nbootstrap="m"\nip="127.0.0.1"\n[local.y]\n[local.x]\nbootstrap="l"\n'),
    ['f:5: There is an IPCP "x" already (line 1).'],
  );
  const dix = (name: string, more: string) => `[eth-dix.${name}]\nbootstrap="l"\ndev="e0"\n${more}`;
  assertEquals(errors(dix("a", "") + dix("b", "ethertype=0xa000\n")), [
    "f:4: Failed to bootstrap b: IPCP a has ethertype 0xA000 of device e0 already.",
  ]);
  good(dix("a", "") + dix("b", "ethertype=0xa001\n"));
  const long = '[eth-llc.a]\nbootstrap="l"\ndev="e123456789012345"\n';
  assertEquals(errors(long), ['f:3: dev is "e123456789012345": at most 15 bytes are possible.']);
  good(long.replace("e123456789012345", "e12345678901234"));
  for (const ethertype of [0x5ff, 0xffff]) {
    assertEquals(errors(dix("a", `ethertype=${ethertype}\n`)), [
      `f:4: Ethertype not in valid range. ${ethertype} is not from 0x0600 to 0xFFFE.`,
    ]);
  }
});

Deno.test("parseConfig() refuses tables that are none", () => {
  assertEquals(errors("name = 1\n"), ["f:1: name must be a table."]);
  assertEquals(errors("[name]\na = 1\n"), ["f:2: name.a must be a table."]);
  assertEquals(errors("[[local.x]]\n"), ["f:1: local.x must be a table."]);
});

Deno.test("parseConfig() refuses names, layers and devices over 255 bytes", () => {
  const long = "n".repeat(256);
  assertEquals(errors(`[name.${long}]\n`), ["f:1: Name too long: 256 bytes, at most 255."]);
  assertEquals(errors(`[local.l]\nbootstrap="${long}"\n`).length, 1);
  assertEquals(errors(`[eth-dix.e]\nbootstrap="x"\ndev="${long}"\n`)[0]!.startsWith("f:3:"), true);
  good(`[name.${"n".repeat(255)}]\n`);
  assertEquals(errors('[name."a\\u0000b"]\n'), ["f:1: Name has a NUL character."]);
});

Deno.test("parseConfig() honours autobind = false", () => {
  const entry = first('[unicast.u]\nbootstrap="l"\nautobind=false\n');
  demand(entry.kind === "ipcp" && !entry.autobind);
});

Deno.test("parseConfig() takes the words of the command line too", () => {
  const { entries } = good(
    '[name.n]\nlb="spillover"\n[unicast.u]\nbootstrap="l"\nhash="SHA3_512"\nrouting="link_state"\n' +
      'congestion="mb-ecn"\naddr_auth="flat"\ndht_t_expiry=100\n',
  );
  const entry = entries[1]!;
  demand(entry.kind === "ipcp" && entry.join.kind === "bootstrap");
  const { conf } = entry.join;
  demand(conf.ipcpType === IpcpType.UNICAST);
  assertEquals(conf.layerInfo.dirHashAlgo, 3);
  assertEquals(conf.unicast.dt.routing.ls!.pol, LsPol.SIMPLE);
  assertEquals(conf.unicast.congAvoid, CongAvoid.MB_ECN);
  assertEquals(conf.unicast.dir.dht!.tExpire, 100);
});

Deno.test("parseConfig() keeps the prototype's lfa as mb-ecn", () => {
  const entry = first('[unicast.u]\nbootstrap="l"\ncongestion="lfa"\n');
  demand(entry.kind === "ipcp" && entry.join.kind === "bootstrap");
  demand(entry.join.conf.ipcpType === IpcpType.UNICAST);
  assertEquals(entry.join.conf.unicast.congAvoid, CongAvoid.MB_ECN);
});

Deno.test("parseConfig() keeps udp6 addresses", () => {
  const entry = first('[udp6.u]\nbootstrap="l"\nip="fe80::1"\ndns="::1"\nport=1\n');
  demand(entry.kind === "ipcp" && entry.join.kind === "bootstrap");
  const { conf } = entry.join;
  demand(conf.ipcpType === IpcpType.UDP6);
  assertEquals([conf.udp6.ipAddr[0], conf.udp6.ipAddr[15], conf.udp6.dnsAddr[15]], [0xfe, 1, 1]);
});

Deno.test("parseConfig() notices a bad dns address", () => {
  assertEquals(errors('[udp4.u]\nbootstrap="l"\nip="1.2.3.4"\ndns="x"\n'), [
    "f:4: Failed to parse DNS IPv4 address x.",
  ]);
});

Deno.test("parseConfig() gives a broadcast IPCP data transfer alone to connect", () => {
  const entry = first('[broadcast.b]\nenrol="x"\nconn=["y"]\n');
  demand(entry.kind === "ipcp" && entry.join.kind === "enrol");
  assertEquals(entry.join.components, [COMP_DATA_TRANSFER]);
});

Deno.test("parseConfig() warns of what it ignores", () => {
  const { warnings } = good(
    '[unicast.u]\nbootstrap="l"\nenrol="x"\n[unicast.v]\nbootstrap="l"\nconn=["y"]\n',
  );
  assertEquals(warnings, [
    "Ignoring bootstrap for IPCP u.",
    "Ignoring conn for IPCP v: nothing to enrol.",
  ]);
});

Deno.test("parseConfig() refuses to enrol what cannot be enrolled", () => {
  assertEquals(errors('[local.l]\nenrol="x"\n'), ["f:2: IPCPs of type local cannot be enrolled."]);
});

Deno.test("parseConfig() takes args as text with quotes or as arrays", () => {
  const { entries } = good(
    '[name.n]\nprog=["/a","/b","/c", "/d"]\nargs=["-x \'a b\'  -y", ["-z", "c d"], ""]\n',
  );
  const [name] = entries;
  demand(name?.kind === "name");
  assertEquals(name.programs.map(({ args }) => args), [
    ["-x", "a b", "-y"],
    ["-z", "c d"],
    [],
    undefined,
  ]);
  assertEquals(errors('[name.n]\nprog=["/a"]\nargs=["\'"]\n'), [
    "f:3: Unbalanced quotes in args of [name.n].",
  ]);
  assertEquals(errors('[name.n]\nprog=["/a"]\nargs=[1]\n'), [
    "f:3: args in [name.n] must hold strings or arrays of strings.",
  ]);
  assertEquals(errors('[name.n]\nargs=["-l"]\n'), [
    "f:2: args in [name.n] has 1 elements for 0 programs.",
  ]);
});

Deno.test("parseConfig() reads the switches of the daemon", () => {
  assertEquals(good("[irmd]\ndirect = false\n").daemon.direct, false);
  assertEquals(good("").daemon.direct, undefined);
  assertEquals(errors("[irmd]\ndirekt = false\n"), [
    'f:2: Unknown key in [irmd]: direkt. Did you mean "direct"?',
  ]);
});

Deno.test("resolvePaths() resolves each name's own paths and tells the missing ones", () => {
  const config = good(
    '[name.a]\nserver_key_file="k"\n[name.b]\nclient_enc_file="gone"\n[name.c]\n',
  );
  const bad = resolvePaths(
    config,
    "f",
    (path) => path === "gone" ? { error: "No such file or directory" } : { path: `/r/${path}` },
  );
  demand(Array.isArray(bad));
  assertEquals(bad.map(String), ["f:3: Failed to check path gone: No such file or directory."]);
  const file = "/gone/x.ts";
  for (
    const join of [`bootstrap="l"\ncongestion="${file}"`, `enrol="d"\nrouting="${file}"`]
  ) {
    const absent = resolvePaths(good(`[unicast.u]\n${join}\n`), "f", () => ({ error: "Gone" }));
    demand(Array.isArray(absent));
    assertEquals(absent.map(String), [`f:1: Failed to check path ${file}: Gone.`]);
  }
  const resolved = resolvePaths(config, "f", (path) => ({ path: `/r/${path}` }));
  demand(!Array.isArray(resolved));
  const paths = resolved.entries.map((e) =>
    e.kind === "name" ? [e.security.skey, e.security.cenc] : []
  );
  assertEquals(paths, [["/r/k", ""], ["", "/r/gone"], ["", ""]]);
});

Deno.test("splitWords() splits at spaces, keeps quotes together, tells an open quote", () => {
  assertEquals(splitWords("--listen  -v"), ["--listen", "-v"]);
  assertEquals(splitWords(" a\\ b 'c\\' \"d \\\" e\" '' "), ["a b", "c\\", 'd " e', ""]);
  assertEquals(splitWords('"a'), undefined);
  assertEquals(splitWords(""), []);
});
