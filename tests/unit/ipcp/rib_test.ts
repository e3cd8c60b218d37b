// The files of an IPCP's RIB: the prototype's bytes where those are right (tools.json, `rib.`), ours where it is wrong.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { infoComponent } from "../../../ipcp/rib.ts";
import { Standing } from "../../../ipcp/standing.ts";
import type { StateName, TypeName } from "../../../ipcp/state.ts";
import { Values } from "../../../ipcp/unicast/dht/values.ts";
import { unicastComponents, type UnicastState } from "../../../ipcp/unicast/rib.ts";
import { Above, componentPlace, DataStats, Transfer } from "../../../ipcp/unicast/stats.ts";
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

const AT = Date.UTC(2026, 10, 23, 11, 10, 39) / 1000;
/** 14.0a.2b.63 and 25.38.d5.e2 as they are in memory. */
const SELF = 0x632b0a14;
const OTHER = 0xe2d53825;

/** What the data path of the captured node had counted. */
function counted(): DataStats {
  const stats = new DataStats();
  const transfer = (place: number, what: Transfer, packets: number, bytes: number) => {
    for (let i = 0; i < packets; i++) stats.transfer(place, 0, what, i === 0 ? bytes : 0);
  };
  transfer(65, Transfer.sent, 17, 1714);
  transfer(65, Transfer.received, 18, 1757);
  transfer(65, Transfer.localSent, 3, 440);
  transfer(65, Transfer.localReceived, 4, 483);
  transfer(componentPlace(0), Transfer.sent, 1, 160);
  transfer(componentPlace(0), Transfer.localReceived, 1, 129);
  for (let i = 0; i < 14; i++) {
    stats.above(66, Above.sent, 76);
    stats.above(66, Above.received, 76);
  }
  const said = [0, 1e6, 0, 0, 0, 1];
  stats.words.set(said, stats.congestionAt(66));
  return stats;
}

function unicastRib(change: Partial<UnicastState> = {}): Rib {
  const values = new Values();
  const key = Uint8Array.fromHex("47cc398a83c553ff".padEnd(64, "0"));
  values.own.set(key, { publishAtUs: 0 });
  const id = Uint8Array.fromHex("4b9001f1ebb76c6e".padEnd(64, "0"));
  const state: UnicastState = {
    self: SELF,
    policies: () => [
      { word: "routing", policy: "routing my.ts (sha256 abcd…)", state: "from a file" },
    ],
    directory: {
      self: { id, addr: SELF },
      settings: { alpha: 3, k: 8, expireSec: 86400, refreshSec: 900, replicateSec: 900, peer: 0 },
      values,
    },
    startedSec: AT,
    flows: () => [{
      cube: 0,
      flowId: 66,
      peer: 3805624357,
      localEid: {
        hi: Number(6328677492257194050n >> 32n),
        lo: Number(6328677492257194050n & 0xffffffffn),
      },
      remoteEid: {
        hi: Number(75155480934088770n >> 32n),
        lo: Number(75155480934088770n & 0xffffffffn),
      },
      state: "open",
    }],
    links: () => [{ src: SELF, dst: OTHER, seqno: 0, heardUs: 0 }],
    neighbours: () => [{ addr: OTHER, mgmt: 70, dt: 65, up: true }],
    unixSec: () => AT,
    stats: counted(),
    sinceSec: (flowId) => flowId === 66 ? AT + 5 : AT,
    queued: () => ({ rx: 0, tx: 0 }),
    ...change,
  };
  const rib = new Rib();
  rib.add(() => unicastComponents(state));
  rib.add(() => [infoComponent(() => ({ type: "unicast", state: "operational", layer: "n" }))]);
  return rib;
}

for (const c of cases) {
  const { path = "" } = c.input;
  Deno.test(`${c.name}: ${path}`, () => {
    const wanted = textOf(c);
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
    if (file === "dht/stats") return assertEquals(read(unicastRib(), path), wanted);
    if (file === "dht/database") {
      // Our own registrations have no times: they are renewed as long as they are there.
      const got = read(unicastRib(), path)!;
      assertEquals(got.split("\n").slice(0, 8), wanted.split("\n").slice(0, 8));
      assertStringIncludes(got, "    V<00000000632b0a14>\n");
      return;
    }
    if (file.startsWith("lsdb/.")) return assertEquals(read(unicastRib(), path), wanted);
    if (file.startsWith("lsdb/")) {
      const got = read(unicastRib(), path)!;
      assertEquals(got, `${wanted}UTC)\n`); // The prototype cuts it.
      return;
    }
    if (file.startsWith("flow-allocator/") || file.startsWith("dt.")) {
      // The prototype ends with a NUL.
      const lines = wanted.replace(/\0$/, "").split("\n");
      // Our sender has a rate and no window.
      const known = lines.filter((l) => !/window|Upstream packet/.test(l));
      const got = read(unicastRib(), path)!.split("\n").filter((l) => !l.startsWith("Rate"));
      return assertEquals(got, known);
    }
    if (file.endsWith("/frct")) return; // Of applications.
    assertEquals(c.name, "rib.tree", `unknown case ${c.name}`);
  });
}

Deno.test("rib.tree: a unicast IPCP lists what the prototype's lists, and every flow", () => {
  const c = cases.find((c) => "tree" in c.input);
  if (c === undefined) return; // The file has none.
  const { tree } = c.input as unknown as { tree: Record<string, string[]> };
  const rib = unicastRib({
    links: () => [
      { src: OTHER, dst: SELF, seqno: 0, heardUs: 0 },
      { src: SELF, dst: OTHER, seqno: 0, heardUs: 0 },
    ],
  });
  const mine = Object.fromEntries(rib.list("")!.map((name) => [`u1/${name}/`, rib.list(name)]));
  for (const [path, names] of Object.entries(tree).filter(([path]) => path.startsWith("u1/"))) {
    assertEquals(mine[path], path.startsWith("u1/dt.") ? [...names, "65"] : names, path);
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
    "Policy routing failed.; device va is down",
    "Policy routing failed.",
  ]);
  assertEquals(standing.rib(), []);
});
