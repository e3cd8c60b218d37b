/** What render.ts writes is read as what was given to it. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseConfig } from "../../../../irmd/config.ts";
import { renderDaemon, renderEntry } from "../../../../irmd/config/render.ts";
import { componentsOf } from "../../../../irmd/config/ipcps.ts";
import type { ConfigEntry, IpcpEntryConfig, NameConfig } from "../../../../irmd/config/types.ts";
import {
  BOOTSTRAP_RANGES,
  bootstrapConfig,
  defaultBootstrapOptions,
  LINK_SECONDS_MAX,
} from "../../../../lib/irm/bootstrap_options.ts";
import { IpcpType, PolicyKind } from "../../../../lib/irm/messages.ts";
import { DEVICE_NAME_BYTES_MAX } from "../../../../lib/limits.ts";
import { QOS_WORDS } from "../../../../lib/qos.ts";
import { demand } from "./demand.ts";

const text = (minLength = 0) =>
  fc.oneof(
    fc.string({ minLength, maxLength: 20, unit: "grapheme" }),
    fc.constantFrom('a"b', "c\\d", "\u007f\u0001\t", "[name.x]", "# no comment", "äöü", "x.y"),
  ).filter((s) => !s.includes("\0") && s.isWellFormed());
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const boundFor = maybe(fc.oneof(
  text().map((user) => ({ user, group: undefined, any: undefined })),
  text().map((group) => ({ user: undefined, group, any: undefined })),
  fc.constant({ user: undefined, group: undefined, any: 1 }),
));
const path = fc.oneof(fc.constant(""), text(1));
const nameEntry: fc.Arbitrary<NameConfig> = fc.record({
  kind: fc.constant("name" as const),
  line: fc.constant(0),
  name: text(1),
  polLb: fc.constantFrom(0, 1),
  security: fc.record({
    senc: path,
    scrt: path,
    skey: path,
    cenc: path,
    ccrt: path,
    ckey: path,
  }),
  by: maybe(text()),
  programs: fc.uniqueArray(
    fc.record({
      line: fc.constant(0),
      path: text(1).filter((p) => !p.includes("/")).map((p) => `/bin/${p}`),
      args: maybe(fc.array(text())),
      boundFor,
      by: maybe(text()),
    }),
    { selector: (p) => p.path, maxLength: 4 },
  ),
});

const options = fc.record({
  hashAlgo: fc.constantFrom<number>(0, 1, 2, 3),
  device: text(1).filter((name) => new TextEncoder().encode(name).length <= DEVICE_NAME_BYTES_MAX),
  ethertype: fc.integer({ min: 0x600, max: 0xfffe }),
  ip: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  dns: maybe(fc.uint8Array({ minLength: 16, maxLength: 16 })),
  lsPol: fc.constantFrom<number>(0, 1, 2),
  congAvoid: fc.constantFrom<number>(0, 1),
  policies: fc.uniqueArray(
    fc.record({ kind: fc.integer({ min: 0, max: 4 }), file: text(1).map((t) => `/${t}`) }),
    { selector: ({ kind }) => kind },
  ).map((list) => list.toSorted((a, b) => a.kind - b.kind)),
  ...Object.fromEntries(
    Object.entries(BOOTSTRAP_RANGES).map(([k, [min, max]]) => [k, fc.integer({ min, max })]),
  ),
  // What a unicast IPCP takes: addresses of 4 bytes, and links that live longer than two updates are apart.
  addrSize: fc.constant(4),
  lsTUpdate: fc.integer({ min: 1, max: 1000 }),
  lsTTimeo: fc.integer({ min: 1001, max: LINK_SECONDS_MAX }),
  lsTRecalc: fc.integer({ min: 1, max: LINK_SECONDS_MAX }),
});
const ipcpEntry: fc.Arbitrary<IpcpEntryConfig> = fc.record({
  type: fc.constantFrom(...Object.values(IpcpType)),
  name: text(1),
  how: fc.constantFrom("none", "bootstrap", "enrol"),
  layer: text(1),
  options,
  autobind: fc.boolean(),
  bind: fc.array(text(1)),
  reg: fc.array(text(1)),
  conn: fc.array(text(1)),
  connect: fc.array(fc.record({
    dst: text(1),
    component: fc.constantFrom("mgmt" as const, "dt" as const),
    qos: fc.constantFrom(...QOS_WORDS),
  })),
}).map(({ type, name, how, layer, options, autobind, bind, reg, conn, connect }) => {
  const given = { ...defaultBootstrapOptions(), ...options };
  // A file is named in the place of the word.
  const own = new Set(given.policies.map(({ kind }) => kind));
  if (own.has(PolicyKind.ROUTING)) given.lsPol = defaultBootstrapOptions().lsPol;
  if (own.has(PolicyKind.CONGESTION)) given.congAvoid = defaultBootstrapOptions().congAvoid;
  const all = [IpcpType.LOCAL, IpcpType.ETH_LLC, IpcpType.ETH_DIX, IpcpType.UNICAST] as number[];
  // What has no meaning for a type is not in its table.
  if (!all.includes(type)) given.hashAlgo = defaultBootstrapOptions().hashAlgo;
  if (type === IpcpType.ETH_LLC) given.ethertype = defaultBootstrapOptions().ethertype;
  if (type === IpcpType.UDP4) {
    given.ip = given.ip.subarray(0, 4);
    given.dns = given.dns?.subarray(0, 4);
  }
  const member = type === IpcpType.UNICAST || type === IpcpType.BROADCAST;
  const policies = type === IpcpType.UNICAST ? given.policies : [];
  const join: IpcpEntryConfig["join"] = how === "bootstrap"
    ? { kind: "bootstrap", layer, conf: bootstrapConfig(type, layer, given)! }
    : how === "enrol" && member
    ? { kind: "enrol", dst: layer, conn, components: componentsOf(type), policies }
    : { kind: "none" };
  const rest = { autobind, bind, reg, connect: member ? connect : [] };
  return { kind: "ipcp" as const, line: 0, type, name, join, ...rest };
});

/** Without lines, which are those of the text. */
const withoutLines = (entry: ConfigEntry): unknown =>
  entry.kind === "ipcp"
    ? { ...entry, line: 0 }
    : { ...entry, line: 0, programs: entry.programs.map((p) => ({ ...p, line: 0 })) };

Deno.test("renderEntry() is the other way round of parseConfig()", () => {
  fc.assert(fc.property(fc.oneof(nameEntry, ipcpEntry), (entry) => {
    const parsed = parseConfig(renderEntry(entry), "f");
    demand(!Array.isArray(parsed), String(parsed));
    assertEquals(parsed.entries.map(withoutLines), [entry]);
  }));
});

Deno.test("renderDaemon() is the other way round of parseConfig()", () => {
  const flag = maybe(fc.boolean());
  const number = maybe(fc.integer({ min: 16, max: 2 ** 32 }));
  const daemon = fc.record({ direct: flag, askLayers: flag, retry: flag }).chain((flags) =>
    fc.tuple(number, number, number, maybe(fc.integer({ min: 16, max: 2 ** 20 }))).map((
      [c, p, e, mib],
    ) => ({
      ...flags,
      totals: {
        ...(c === undefined ? {} : { connections: c }),
        ...(p === undefined ? {} : { processes: p }),
        ...(e === undefined ? {} : { exchanges: e }),
        ...(mib === undefined ? {} : { memory: mib * 2 ** 20 }),
      },
    }))
  );
  fc.assert(fc.property(daemon, (said) => {
    const parsed = parseConfig(renderDaemon(said), "f");
    demand(!Array.isArray(parsed), String(parsed));
    assertEquals(parsed.daemon, said);
  }));
});
