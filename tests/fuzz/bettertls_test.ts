/**
 * The two suites of BetterTLS, made anew: paths through graphs of CAs of which some certificates are invalid for one of
 * six reasons, and every combination of DNS and address constraints with names. What we accept, the `openssl` program
 * accepts, at least when it is given our path alone; what it accepts, we accept but for the reasons that docs/security.md
 * lists; and nobody is taken for a name that the suite calls excluded.
 */

import { assert, assertEquals } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { PeerCertificate } from "../../security/certificate.ts";
import { tlv } from "../../security/der.ts";
import { TrustStore } from "../../security/trust.ts";
import * as make from "../support/certificates.ts";
import { hasOpenssl, openssl } from "../support/openssl_verify.ts";

const AT_MS = Date.UTC(2030, 5, 1);
const DAY_MS = 86_400_000;

type Bytes = Uint8Array<ArrayBuffer>;
type Edge = readonly [issuer: string, subject: string];

/** A graph: one line an issuer, with whom it certifies. */
const graph = (...lines: string[]): Edge[] =>
  lines.flatMap((line) => {
    const [from, to] = line.split(" > ") as [string, string];
    return to.split(" ").map((t): Edge => [from, t]);
  });

// The figures of RFC 4158 (§2.3, §2.4), a line and two roots.
const GRAPHS = {
  line: graph("I > EE", "T > I"),
  roots: graph("I > EE", "R1 > I", "R2 > I"),
  seven: graph("B > EE", "C > B A", "A > B C", "T > C A"),
  bridge: graph(
    ...[
      "F > H G",
      "G > F I",
      "H > I",
      "I > H",
      "W > F G Bridge",
      "J > K",
      "N > EE",
      "L > N M",
      "X > J L Bridge",
    ],
    ...[
      "B > E D",
      "A > B C",
      "C > B A",
      "Y > A C Bridge",
      "R > S",
      "O > R Q",
      "P > S",
      "Z > O P Bridge",
    ],
    "Bridge > W X Y Z",
  ),
} as const;

interface PathCase {
  readonly graph: keyof typeof GRAPHS;
  readonly root: string;
  readonly end?: string;
  readonly invalid?: readonly Edge[];
}

const PATHS: readonly PathCase[] = [
  { graph: "line", root: "T" },
  { graph: "line", root: "T", invalid: [["T", "I"]] },
  { graph: "line", root: "I", invalid: [["T", "I"]] },
  { graph: "roots", root: "R1" },
  { graph: "roots", root: "R2" },
  { graph: "roots", root: "R1", invalid: [["R2", "I"]] },
  { graph: "roots", root: "R2", invalid: [["R1", "I"]] },
  { graph: "roots", root: "R1", invalid: [["R1", "I"]] },
  { graph: "roots", root: "R2", invalid: [["R2", "I"]] },
  { graph: "seven", root: "T" },
  { graph: "seven", root: "T", invalid: [["T", "C"], ["A", "B"]] },
  { graph: "seven", root: "T", invalid: [["T", "A"], ["C", "B"]] },
  { graph: "bridge", root: "Z", end: "D" },
  { graph: "bridge", root: "Z" },
  { graph: "bridge", root: "Z", invalid: [["X", "Bridge"]] },
  { graph: "bridge", root: "Z", invalid: [["Bridge", "X"]] },
  { graph: "bridge", root: "Z", invalid: [["Z", "Bridge"]] },
];

const REASONS = [
  "expired",
  "constraints",
  "purpose",
  "no basic constraints",
  "no CA",
  "SHA-1",
] as const;
type Reason = typeof REASONS[number];

const isSame = (a: Edge) => (b: Edge) => a[0] === b[0] && a[1] === b[1];

/** Whether valid certificates lead from one node to another. */
function reaches(edges: readonly Edge[], from: string, to: string): boolean {
  const seen = new Set([from]);
  const left = [from];
  while (left.length > 0) {
    const at = left.pop();
    for (const [issuer, subject] of edges) {
      if (issuer !== at || seen.has(subject)) continue;
      seen.add(subject);
      left.push(subject);
    }
  }
  return seen.has(to);
}

const ec = () => generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const nodeKeys = new Map<string, make.Pair>();
function keyOf(node: string): make.Pair {
  let pair = nodeKeys.get(node);
  if (pair === undefined) nodeKeys.set(node, pair = ec());
  return pair;
}

const subjectOf = (node: string) => make.dn("O=bettertls.com", `CN=${node}`);
let serials = 0;
const serial = () => Uint8Array.of(1, ++serials >> 8, serials & 0xff);

function certified([from, to]: Edge, isEnd: boolean, invalid: Reason | undefined): Bytes {
  const isCa = !isEnd && invalid !== "no CA";
  return make.certificate({
    serial: serial(),
    issuer: subjectOf(from),
    subject: subjectOf(to),
    notBefore: make.timeOf(AT_MS - 3 * DAY_MS),
    notAfter: make.timeOf(AT_MS + (invalid === "expired" ? -DAY_MS : DAY_MS)),
    key: keyOf(to),
    extensions: [
      make.keyUsage(isEnd ? 0x80 : 0x04),
      ...(isEnd ? [make.purposes(["1.3.6.1.5.5.7.3.1"]), make.altNames(["dns:localhost"])] : []),
      ...(invalid === "no basic constraints" ? [] : [make.basicConstraints(isCa)]),
      ...(invalid === "constraints" ? [make.nameConstraints(["dns:bad.example.com"], [])] : []),
      ...(invalid === "purpose" ? [make.purposes(["1.3.6.1.5.5.7.3.4"])] : []),
    ],
    signer: keyOf(from),
    signature: invalid === "SHA-1" ? "ecdsa-sha1" : "ecdsa-sha256",
  });
}

function rootOf(node: string): Bytes {
  return make.certificate({
    serial: serial(),
    issuer: subjectOf(node),
    subject: subjectOf(node),
    notBefore: make.timeOf(AT_MS - DAY_MS),
    notAfter: make.timeOf(AT_MS + DAY_MS),
    key: keyOf(node),
    extensions: [make.keyUsage(0x04), make.basicConstraints(true)],
    signer: keyOf(node),
    signature: "ecdsa-sha256",
  });
}

function read(der: Bytes): PeerCertificate {
  const c = PeerCertificate.read(der);
  if (typeof c === "string") throw new Error(c);
  return c;
}

Deno.test({
  name: "BetterTLS, path building: every graph, invalid for every reason",
  ignore: !hasOpenssl(),
  async fn() {
    const dir = Deno.makeTempDirSync({ prefix: "ouro-bettertls-" });
    const wrong: string[] = [];
    let cases = 0;
    try {
      for (const { graph, root, end = "EE", invalid = [] } of PATHS) {
        for (const reason of invalid.length === 0 ? [undefined] : REASONS) {
          cases++;
          const at = `${graph} from ${root}, ${invalid.join(" ")}: ${reason}`;
          const edges = GRAPHS[graph];
          const isInvalid = (e: Edge) => invalid.some(isSame(e));
          const want = reaches(edges.filter((e) => !isInvalid(e)), root, end);
          const made = edges.map((e) => ({
            end: e[1] === end,
            der: certified(e, e[1] === end, isInvalid(e) ? reason : undefined),
          }));
          const leaf = made.find((m) => m.end)!.der;
          const others = made.filter((m) => !m.end).map((m) => m.der);
          const anchor = rootOf(root);
          const store = new TrustStore([anchor, ...others].map(read));
          const ours = await store.verify(read(leaf), AT_MS);
          if (ours.ok !== want) wrong.push(`${at}: ${ours.ok ? "accepted" : ours.reason}`);
          const [theirs] = await openssl(dir, AT_MS, [anchor], others, [leaf]);
          if (ours.ok && theirs !== undefined) {
            // It may have given up at a path that leads nowhere.
            const path = ours.path.map((c) => c.der);
            const [alone] = await openssl(dir, AT_MS, [anchor], path.slice(1, -1), [leaf]);
            if (alone !== undefined) wrong.push(`${at}: accepted; openssl: ${alone}`);
          }
          const documented = reason === "SHA-1" || reason === "purpose";
          if (!ours.ok && theirs === undefined && !documented) {
            wrong.push(`${at}: refused (${ours.reason}); openssl accepts`);
          }
        }
      }
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
    assertEquals(wrong, []);
    assertEquals(cases, 72);
  },
});

// Names and constraints. Each value is absent, for the name that is asked for, or for another.

const VALUES = ["none", "good", "bad"] as const;
type Value = typeof VALUES[number];
const DNS = { good: "test.localhost", bad: "bad.example.com" };
const TREE = { good: "localhost", bad: "example.com" };
const ADDRESS = { good: "127.0.0.1", bad: "1.1.1.1" };
const ADDRESS_HEX = { good: "7f000001", bad: "01010101" };
const RANGE = { good: "7f000000ffffff00", bad: "01010100ffffff00" };

interface Constraints {
  readonly permittedDns: Value;
  readonly permittedIp: Value;
  readonly excludedDns: Value;
  readonly excludedIp: Value;
}
interface LeafNames {
  readonly commonKind: "dns" | "ip";
  readonly common: Value;
  readonly dns: Value;
  readonly ip: Value;
  /** One more alternative name, raw. */
  readonly extra?: { readonly tag: number; readonly value: Uint8Array };
}

const ed = () => generateKeyPairSync("ed25519");
const suite = { root: ed(), ca: ed(), leaf: ed() };
const SUITE_ROOT = make.dn("O=bettertls.com", "CN=root");
const SUITE_CA = make.dn("O=bettertls.com", "CN=local_ica");

function signed(
  issuer: Bytes,
  subject: Bytes,
  key: make.Pair,
  signer: make.Pair,
  e: Bytes[],
): Bytes {
  return make.certificate({
    serial: serial(),
    issuer,
    subject,
    notBefore: make.timeOf(AT_MS - DAY_MS),
    notAfter: make.timeOf(AT_MS + DAY_MS),
    key,
    extensions: e,
    signer,
    signature: "ed25519",
  });
}

function constrainedCa(c: Constraints): Bytes {
  const list = (dns: Value, ip: Value) => [
    ...(dns === "none" ? [] : [`dns:${TREE[dns]}`]),
    ...(ip === "none" ? [] : [`ip:${RANGE[ip]}`]),
  ];
  const permitted = list(c.permittedDns, c.permittedIp);
  const excluded = list(c.excludedDns, c.excludedIp);
  const names = permitted.length + excluded.length === 0
    ? []
    : [make.nameConstraints(permitted, excluded)];
  const e = [make.keyUsage(0x04), make.basicConstraints(true), ...names];
  return signed(SUITE_ROOT, SUITE_CA, suite.ca, suite.root, e);
}

function namedLeaf(n: LeafNames): Bytes {
  const common = n.common === "none"
    ? []
    : [`CN=${(n.commonKind === "dns" ? DNS : ADDRESS)[n.common]}`];
  const alt = [
    ...(n.dns === "none" ? [] : [make.generalName(`dns:${DNS[n.dns]}`)]),
    ...(n.ip === "none" ? [] : [make.generalName(`ip:${ADDRESS_HEX[n.ip]}`)]),
    ...(n.extra === undefined ? [] : [tlv(0x80 | n.extra.tag, n.extra.value.slice())]),
  ];
  const e = [
    make.keyUsage(0x80),
    make.purposes(["1.3.6.1.5.5.7.3.1"]),
    make.basicConstraints(false),
    ...(alt.length === 0 ? [] : [make.extension("2.5.29.17", tlv(0x30, ...alt))]),
  ];
  return signed(SUITE_CA, make.dn("O=bettertls.com", ...common), suite.leaf, suite.ca, e);
}

/** What the suite says of a name: it must, may or must not be accepted. */
function wanted(asked: "dns" | "ip", n: LeafNames, c: Constraints): "accept" | "may" | "refuse" {
  const alt = asked === "dns" ? n.dns : n.ip;
  const byCommon = n.commonKind === asked && n.common === "good";
  if (alt !== "good" && !byCommon) return "refuse";
  const [permitted, excluded] = asked === "dns"
    ? [c.permittedDns, c.excludedDns]
    : [c.permittedIp, c.excludedIp];
  if (permitted === "bad" || excluded === "good") return "refuse";
  const breaks = (value: Value, may: Value, not: Value) =>
    value !== "none" && ((may !== "none" && may !== value) || not === value);
  const common = n.commonKind === "dns"
    ? breaks(n.common, c.permittedDns, c.excludedDns)
    : breaks(n.common, c.permittedIp, c.excludedIp);
  const broken = breaks(n.dns, c.permittedDns, c.excludedDns) ||
    breaks(n.ip, c.permittedIp, c.excludedIp) || common;
  return broken || alt !== "good" ? "may" : "accept";
}

const each = <T>(f: (v: Value) => T[]): T[] => VALUES.flatMap(f);
const CONSTRAINTS: readonly Constraints[] = each((permittedDns) =>
  each((permittedIp) =>
    each((excludedDns) =>
      each((excludedIp) => [{ permittedDns, permittedIp, excludedDns, excludedIp }])
    )
  )
);
const LEAVES: readonly LeafNames[] = (["dns", "ip"] as const).flatMap((commonKind) =>
  each((common) => each((dns) => each((ip) => [{ commonKind, common, dns, ip }])))
);

/** The good name written into alternative names of every form, and behind separators. */
function smuggled(): { asked: "dns" | "ip"; names: LeafNames; constraints: Constraints }[] {
  const none = {
    permittedDns: "none",
    permittedIp: "none",
    excludedDns: "none",
    excludedIp: "none",
  } as const;
  const bare = { commonKind: "dns", common: "none", dns: "none", ip: "none" } as const;
  const text = (s: string) => new TextEncoder().encode(s);
  const schemes = ["", "http://", "https://", "spiffe://", "unspec://"];
  const dnsValues = schemes.map((s) => s + DNS.good);
  for (const separator of [", ", ",", ";", ":"]) {
    for (const prefix of ["", "DNS:"]) {
      for (const before of [DNS.bad, `http://${DNS.bad}`]) {
        dnsValues.push(before + separator + prefix + DNS.good);
      }
    }
  }
  const all: { asked: "dns" | "ip"; names: LeafNames; constraints: Constraints }[] = [];
  for (let tag = 0; tag < 16; tag++) {
    for (const value of dnsValues.map(text)) {
      const names = { ...bare, dns: "bad", extra: { tag, value } } as const;
      all.push({ asked: "dns", names, constraints: { ...none, permittedDns: "bad" } });
      all.push({ asked: "dns", names, constraints: { ...none, excludedDns: "good" } });
    }
    for (const value of [Uint8Array.fromHex(ADDRESS_HEX.good), text(ADDRESS.good)]) {
      const names = { ...bare, ip: "bad", extra: { tag, value } } as const;
      all.push({ asked: "ip", names, constraints: { ...none, permittedIp: "bad" } });
      all.push({ asked: "ip", names, constraints: { ...none, excludedIp: "good" } });
    }
  }
  return all;
}

/** Our verdict on a leaf, and whether it is taken for a name. */
async function named(
  store: TrustStore,
  der: Bytes,
): Promise<{ reason?: string; isFor(name: string): boolean }> {
  const leaf = PeerCertificate.read(der);
  if (typeof leaf === "string") return { reason: leaf, isFor: () => false };
  const verdict = await store.verify(leaf, AT_MS);
  if (!verdict.ok) return { reason: verdict.reason, isFor: () => false };
  const shown = leaf.without(verdict.excludedNames);
  return { isFor: (name) => shown.isFor(name, false) };
}

Deno.test({
  name: "BetterTLS, name constraints: every combination, and names in forms that are not theirs",
  ignore: !hasOpenssl(),
  async fn() {
    const dir = Deno.makeTempDirSync({ prefix: "ouro-bettertls-" });
    const e = [make.keyUsage(0x04), make.basicConstraints(true)];
    const root = signed(SUITE_ROOT, SUITE_ROOT, suite.root, suite.root, e);
    const wrong: string[] = [];
    let accepted = 0;
    const leaves = LEAVES.map((names) => ({ names, der: namedLeaf(names) }));
    const odd = smuggled().map((s) => ({ ...s, der: namedLeaf(s.names) }));
    try {
      for (const c of CONSTRAINTS) {
        const ca = constrainedCa(c);
        const store = new TrustStore([root, ca].map(read));
        const key = JSON.stringify(c);
        const here = [
          ...leaves.map((l) => ({ ...l, asked: ["dns", "ip"] as const })),
          ...odd.filter((o) => JSON.stringify(o.constraints) === key).map((o) => ({
            ...o,
            asked: [o.asked] as const,
          })),
        ];
        const theirs = await openssl(dir, AT_MS, [root], [ca], here.map((l) => l.der));
        for (const [i, { names, der, asked }] of here.entries()) {
          const at = `${key} ${JSON.stringify(names)}`;
          const ours = await named(store, der);
          if (ours.reason === undefined) {
            accepted++;
            if (theirs[i] !== undefined) wrong.push(`${at}: accepted; openssl: ${theirs[i]}`);
          } else if (
            theirs[i] === undefined &&
            !/of no known form|cannot be read|not ASCII/.test(ours.reason)
          ) {
            wrong.push(`${at}: refused (${ours.reason}); openssl accepts`);
          }
          for (const kind of asked) {
            const name = kind === "dns" ? DNS.good : ADDRESS.good;
            const want = wanted(kind, names, c);
            const is = ours.isFor(name);
            if (is && want === "refuse") wrong.push(`${at}: taken for ${name}`);
            // An address in a certificate is no name of a flow; what OpenSSL refuses by other names, we do.
            const must = want === "accept" && kind === "dns" && theirs[i] === undefined;
            if (!is && must) wrong.push(`${at}: not taken for ${name}`);
          }
        }
      }
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
    assertEquals(wrong.slice(0, 40), []);
    assert(accepted > 500, `${accepted} accepted`);
  },
});
