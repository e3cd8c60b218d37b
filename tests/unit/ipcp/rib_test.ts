// The files of an IPCP's RIB: the prototype's bytes where those are right (tools.json, `rib.`), ours where it is wrong.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { infoComponent } from "../../../ipcp/rib.ts";
import { Standing } from "../../../ipcp/standing.ts";
import type { StateName, TypeName } from "../../../ipcp/state.ts";
import { Values } from "../../../ipcp/unicast/dht/values.ts";
import { unicastComponents, type UnicastState } from "../../../ipcp/unicast/rib.ts";
import { CongestionReport } from "../../../ipcp/unicast/congestion.ts";
import { Above, componentPlace, CUBES, DataStats, Transfer } from "../../../ipcp/unicast/stats.ts";
import { Rib } from "../../../lib/rib/tree.ts";
import vectors from "../../vectors/tools.json" with { type: "json" };

interface RibCase {
  readonly name: string;
  readonly input: { readonly path?: string };
  readonly hex: string;
}

const all = vectors as unknown as RibCase[] | { cases: RibCase[] };
const cases = (Array.isArray(all) ? all : all.cases).filter((c) => c.name.startsWith("rib."));

function textOf(c: RibCase): string {
  return new TextDecoder().decode(Uint8Array.fromHex(c.hex));
}

/** The file of a path, its process left out. */
function read(rib: Rib, path: string): string | undefined {
  const [, component, file] = path.split("/");
  return rib.read(component!, file!)?.text;
}

function infoRib(type: TypeName, state: StateName, layer: string | undefined): Rib {
  const rib = new Rib();
  rib.add(() => [infoComponent(() => ({ type, state, layer }))]);
  return rib;
}

/** What a file of the prototype says, so that a node of ours in that state can be asked for the same file. */
class Said {
  constructor(readonly path: string, readonly text: string) {}

  /** The value behind a label that begins a line, in the part of the text behind `from`. */
  value(label: string, from = ""): string {
    const part = this.text.slice(this.text.indexOf(from));
    const at = part.split("\n").find((l) => l.trimStart().startsWith(label));
    if (at === undefined) throw new Error(`${this.path}: no "${label}"`);
    return at.trimStart().slice(label.length).trim();
  }
  number(label: string, from?: string): number {
    return Number(this.value(label, from));
  }
  /** s since 1970. */
  time(label: string): number {
    const text = this.value(label).replace(/ \(.*$/, "");
    return Date.parse(`${text.replace(" ", "T")}Z`) / 1000;
  }
}

/** The address that `14.0a.2b.63` stands for. */
function addressOf(dotted: string): number {
  return dotted.split(".").reduceRight((sum, byte) => sum * 256 + parseInt(byte, 16), 0);
}

const eidOf = (decimal: string) => {
  const n = BigInt(decimal);
  return { hi: Number(n >> 32n), lo: Number(n & 0xffffffffn) };
};

const SELF = addressOf("14.0a.2b.63");
const OTHER = addressOf("25.38.d5.e2");

/** Counts packets as a file says them. */
function count(packets: number, bytes: number, one: (bytes: number) => void): void {
  for (let i = 0; i < packets; i++) one(i === 0 ? bytes : 0);
}

const TRANSFERS = {
  "sent": Transfer.sent,
  "rcvd": Transfer.received,
  "local sent": Transfer.localSent,
  "local rcvd": Transfer.localReceived,
  "dropped ttl": Transfer.expired,
  "failed writes": Transfer.failedWrites,
  "failed nhop": Transfer.noHop,
};

/** The state of a node whose file `dt.<address>/<number>` is as given. */
function transferSaid(said: Said): Partial<UnicastState> {
  const [, component = "", file] = said.path.split("/");
  const number = Number(file);
  const isComponent = number < 2;
  const stats = new DataStats();
  for (let cube = 0; cube < CUBES; cube++) {
    const from = `Qos cube ${`${cube}`.padStart(3)}:`;
    for (const [label, what] of Object.entries(TRANSFERS)) {
      const [packets, bytes] = ["packets", "bytes"].map((of) =>
        said.number(`${label} (${of}):`, from)
      );
      const place = isComponent ? componentPlace(number) : number;
      count(packets!, bytes!, (n) => stats.transfer(place, cube, what, n));
    }
  }
  const sec = said.time("Flow established at:");
  const [rx, tx] = ["rx", "tx"].map((of) => said.number(`Queued packets (${of}):`));
  const addr = isComponent ? OTHER : addressOf(said.value("Endpoint address:"));
  return {
    self: addressOf(component.slice("dt.".length)),
    stats,
    startedSec: sec,
    sinceSec: () => sec,
    queued: () => ({ rx: rx!, tx: tx! }),
    neighbours: () => [{ addr, mgmt: -1, dt: isComponent ? 64 : number, up: true }],
  };
}

/** The state of a node whose file `flow-allocator/<flow>` is as given. */
function flowSaid(said: Said): Partial<UnicastState> {
  const flowId = Number(said.path.split("/")[2]);
  const stats = new DataStats();
  const rows = {
    "Sent": Above.sent,
    "Send failed": Above.sendFailed,
    "Received": Above.received,
    "Receive failed": Above.receiveFailed,
  };
  for (const [label, what] of Object.entries(rows)) {
    const [packets, bytes] = ["packets", "bytes"].map((of) => said.number(`${label} (${of}):`));
    count(packets!, bytes!, (n) => stats.above(flowId, what, n));
  }
  const updates = { Sent: Above.updatesSent, Received: Above.updatesReceived };
  for (const [label, what] of Object.entries(updates)) {
    count(said.number(`${label} flow updates (packets):`), 0, () => stats.update(flowId, what));
  }
  if (said.text.includes("Multi-bit ECN")) {
    const R = CongestionReport;
    const at = stats.congestionAt(flowId);
    stats.words[at + R.said] = 1;
    stats.words[at + R.told] = said.number("Upstream congestion level:");
    stats.words[at + R.seen] = said.number("Downstream congestion level:");
    stats.words[at + R.seenPackets] = said.number("Downstream packet counter:");
    const regimes = ["Slow start", "Multiplicative dec", "Additive inc"];
    stats.words[at + R.regime] = regimes.indexOf(said.value("Current congestion regime:"));
  }
  const sec = said.time("Flow established at:");
  const flow = {
    cube: 0,
    flowId,
    peer: said.number("Remote address:"),
    localEid: eidOf(said.value("Local endpoint ID:")),
    remoteEid: eidOf(said.value("Remote endpoint ID:")),
    state: "open",
  };
  return { flows: () => [flow], stats, sinceSec: () => sec };
}

/** The state of a node whose file `lsdb/<source>--<destination>` is as given. */
function linkSaid(said: Said): Partial<UnicastState> {
  const [src, dst] = [addressOf(said.value("src:")), addressOf(said.value("dst:"))];
  const sec = said.time("upd:");
  const seqno = said.number("seqno:");
  return { links: () => [{ src, dst, seqno, heardUs: 0 }], unixSec: () => sec };
}

/** The state of a node whose file `dht/stats` is as given. */
function directorySaid(said: Said): Partial<UnicastState> {
  const values = new Values();
  const [keys, own, others] = ["keys", "local values", "non-local values"]
    .map((of) => said.number(`Number of ${of}:`));
  const keyOf = (n: number) => new Uint8Array(32).fill(n + 1);
  for (let n = 0; n < own!; n++) values.own.set(keyOf(n), { publishAtUs: 0 });
  for (let n = 0; n < others!; n++) {
    values.store(0, keyOf(Math.min(own! + n, keys! - 1)), n, 1e6, () => true);
  }
  const addr = addressOf(said.value("Address:"));
  return {
    self: addr,
    directory: {
      self: { id: Uint8Array.fromHex(said.value("DHT:").padEnd(64, "0")), addr },
      settings: {
        alpha: said.number("Number of concurrent requests (alpha):"),
        k: said.number("Number of replicas (k):"),
        expireSec: said.number("Expiry time for values (s):"),
        refreshSec: said.number("Refresh time for contacts (s):"),
        replicateSec: said.number("Replication time for values (s):"),
        peer: 0,
      },
      values,
    },
    startedSec: said.time("Created:"),
  };
}

/** The state of a node that holds what the file `dht/database` says; times of others' values are in s. */
function databaseSaid(said: Said): Partial<UnicastState> {
  const values = new Values();
  for (const block of said.text.split("Key: K<").slice(1)) {
    const key = Uint8Array.fromHex(block.slice(0, 16).padEnd(64, "0"));
    const [own = "", others = ""] = block.split("Non-local entries:");
    if (own.includes("V<")) values.own.set(key, { publishAtUs: 0 });
    for (
      const [, addr, stored, expires] of others.matchAll(
        /V<(\w+)>, t_replicated=(.*) \(UTC\), t_exp=(.*) \(UTC\)/g,
      )
    ) {
      const us = (time: string) => Date.parse(`${time.replace(" ", "T")}Z`) * 1000;
      values.store(us(stored!), key, parseInt(addr!, 16), us(expires!), () => true);
    }
  }
  const { directory } = unicastState();
  return { directory: { ...directory!, values }, unixSec: (us) => us / 1e6 };
}

function unicastState(): UnicastState {
  const id = new Uint8Array(32).fill(0x4b);
  return {
    self: SELF,
    policies: () => [
      { word: "routing", policy: "routing my.ts (sha256 abcd…)", state: "from a file" },
    ],
    directory: {
      self: { id, addr: SELF },
      settings: { alpha: 3, k: 8, expireSec: 86400, refreshSec: 900, replicateSec: 900, peer: 0 },
      values: new Values(),
    },
    startedSec: 1_700_000_000,
    flows: () => [{
      cube: 0,
      flowId: 66,
      peer: OTHER,
      localEid: { hi: 1, lo: 2 },
      remoteEid: { hi: 3, lo: 4 },
      state: "open",
    }],
    links: () => [{ src: SELF, dst: OTHER, seqno: 0, heardUs: 0 }],
    neighbours: () => [{ addr: OTHER, mgmt: 70, dt: 65, up: true }],
    unixSec: () => 1_700_000_000,
    stats: new DataStats(),
    sinceSec: () => 1_700_000_000,
    queued: () => ({ rx: 0, tx: 0 }),
  };
}

function unicastRib(change: Partial<UnicastState> = {}): Rib {
  const state = { ...unicastState(), ...change };
  const rib = new Rib();
  rib.add(() => unicastComponents(state));
  rib.add(() => [infoComponent(() => ({ type: "unicast", state: "operational", layer: "n" }))]);
  return rib;
}

for (const c of cases) {
  const { path = "" } = c.input;
  Deno.test(`${c.name}: ${path}`, () => {
    const wanted = textOf(c);
    const said = new Said(path, wanted);
    const file = path.slice(path.indexOf("/") + 1);
    if (file.startsWith("info/")) {
      const value = wanted.trimEnd();
      const rib = file === "info/_type"
        ? infoRib(value as TypeName, "operational", undefined)
        : file === "info/_layer"
        ? infoRib("local", "operational", value === "(null)" ? undefined : value)
        : infoRib("local", value === "bug" ? "boot" : value as StateName, undefined);
      return assertEquals(read(rib, path), wanted);
    }
    if (file === "dht/stats") {
      return assertEquals(read(unicastRib(directorySaid(said)), path), wanted);
    }
    if (file === "dht/database") {
      const got = read(unicastRib(databaseSaid(said)), path)!;
      // Our own registrations have no times: they are renewed as long as they are there.
      const lines = (text: string) =>
        text.replaceAll(/(Local entries:\n)( {4}V<.*\n)+/g, "$1").trimEnd().split("\n").sort();
      return assertEquals(lines(got), lines(wanted));
    }
    if (file.startsWith("lsdb/.")) {
      const addr = addressOf(file.slice(file.indexOf(" ") + 1));
      const rib = unicastRib({ neighbours: () => [{ addr, mgmt: 70, dt: 65, up: true }] });
      return assertEquals(read(rib, path), wanted);
    }
    if (file.startsWith("lsdb/")) {
      const got = read(unicastRib(linkSaid(said)), path)!;
      return assertEquals(got, `${wanted}UTC)\n`); // The prototype cuts it.
    }
    if (file.startsWith("flow-allocator/") || file.startsWith("dt.")) {
      if (wanted === "") return; // A prototype without statistics; ours always has them.
      const state = file.startsWith("dt.") ? transferSaid(said) : flowSaid(said);
      // The prototype ends with a NUL.
      const lines = wanted.replace(/\0$/, "").split("\n");
      // Our sender has a rate and no window.
      const known = lines.filter((l) => !/window|Upstream packet/.test(l));
      const got = read(unicastRib(state), path)!.split("\n").filter((l) => !l.startsWith("Rate"));
      return assertEquals(got, known);
    }
    if (file.endsWith("/frct")) return; // Of applications.
    assert("tree" in c.input, `unknown case ${c.name}`);
  });
}

Deno.test("rib.tree: a unicast IPCP lists what the prototype's lists, and every flow", () => {
  for (const c of cases) {
    const { tree } = c.input as unknown as { tree?: Record<string, string[]> };
    const paths = Object.entries(tree ?? {}).map(([path, names]) => {
      const [mount = "", component = ""] = path.split("/");
      return { mount, component, names };
    });
    for (const { mount, component: transfer } of paths) {
      if (!transfer.startsWith("dt.")) continue;
      const its = paths.filter((p) => p.mount === mount);
      const names = (of: string) => its.find((p) => p.component === of)?.names ?? [];
      const links = names("lsdb").filter((name) => name.includes("--"))
        .map((name) => name.split("--").map(addressOf));
      const [flow] = unicastState().flows();
      const rib = unicastRib({
        self: addressOf(transfer.slice("dt.".length)),
        links: () => links.map(([src = 0, dst = 0]) => ({ src, dst, seqno: 0, heardUs: 0 })),
        neighbours: () =>
          names("lsdb").filter((name) => name.startsWith(".dt "))
            .map((name) => ({ addr: addressOf(name.slice(4)), mgmt: 70, dt: 65, up: true })),
        flows: () => names("flow-allocator").map((name) => ({ ...flow!, flowId: Number(name) })),
      });
      for (const { component, names } of its) {
        const ours = rib.list(component)!.filter((name) => component !== transfer || name !== "65");
        assertEquals([...ours].sort(), [...names].sort(), `${mount}/${component}`);
      }
      assert(rib.list(transfer)!.includes("65"));
    }
  }
});

Deno.test("a neighbour whose flow has the number of a component is shown beside it", () => {
  const rib = unicastRib({ neighbours: () => [{ addr: OTHER, mgmt: 70, dt: 1, up: true }] });
  const component = rib.list("")!.find((name) => name.startsWith("dt."))!;
  assertEquals(rib.list(component), ["0", "1", "10241"]);
  assertStringIncludes(rib.read(component, "1")!.text, " dht\n");
  assert(!rib.read(component, "10241")!.text.includes("dht"));
});

Deno.test("every file that is listed can be read, every other name is none, every value has a type", () => {
  const rib = unicastRib();
  for (const component of rib.list("")!) {
    for (const name of rib.list(component)!) {
      const object = rib.read(component, name);
      if (object === undefined) throw new Error(`${component}/${name}`);
      for (const value of Object.values(object.values)) {
        assert(["number", "string", "boolean", "bigint"].includes(typeof value));
      }
    }
    for (const name of ["", "x", "..", "__proto__", "constructor", "toString"]) {
      assertEquals(rib.read(component, name), undefined, `${component}/${name}`);
    }
  }
  assertEquals(rib.list("none"), undefined);
});

Deno.test("what users should know of an IPCP is told when it changes: policies, reach, the size of packets", () => {
  const told: (string | undefined)[] = [];
  const standing = new Standing((line) => told.push(line));
  const said = () => told.splice(0);
  standing.setPackets({ now: 1496, full: 1496 });
  assertEquals([said(), standing.rib().length], [[], 1]);
  standing.setPackets({ now: 596, full: 1496 });
  standing.setPackets({ now: 596, full: 1496 });
  assertEquals(said(), ["packets of flows may have 596 bytes now, not 1496"]);
  assertEquals(standing.rib()[0]!.read("bytes"), {
    values: { now: 596, full: 1496 },
    text: "596\n1496\n",
  });
  standing.setCutOff("device va is down");
  standing.setPackets(undefined);
  standing.setPolicies(["Policy routing failed."]);
  standing.setCutOff(undefined);
  assertEquals(said(), [
    "device va is down; packets of flows may have 596 bytes now, not 1496",
    "device va is down",
    "Policy routing failed. device va is down",
    "Policy routing failed.",
  ]);
  assertEquals(standing.rib(), []);
});
