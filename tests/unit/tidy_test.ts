/**
 * The rules of the house that no compiler knows: which files are pure, where unsafe code may be, which
 * way imports point, that nothing is left over. Each rule is shown to find a breach, too.
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join, relative } from "@std/path";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** Rooms of the program, from the top down: a room imports from itself and from those it may. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  "main.ts": ["irm", "irmd", "ipcp", "oping", "tools", "pki", "help", "completion", "lib"],
  help: ["irm", "irmd", "oping", "tools", "pki", "completion", "lib"],
  completion: ["irm", "irmd", "oping", "tools", "pki", "help", "lib"],
  irm: ["lib"],
  oping: ["lib"],
  tools: ["lib"],
  pki: ["security", "lib"],
  irmd: ["security", "lib"],
  ipcp: ["security", "lib"],
  security: ["lib"],
  lib: [],
  examples: ["lib"],
  sim: ["ipcp", "lib"],
};

/** Files and directories whose code has no I/O, clock, timer or randomness of its own. */
const PURE: readonly string[] = [
  "lib/wire/",
  "lib/cli/",
  "lib/frct/",
  "lib/errno.ts",
  "lib/failure.ts",
  "lib/qos.ts",
  "lib/limits.ts",
  "lib/commands.ts",
  "lib/crc32.ts",
  "lib/crypt/epoch.ts",
  "lib/flow/message_limit.ts",
  "lib/irm/messages.ts",
  "lib/irm/codes.ts",
  "lib/irm/ipcp_config.ts",
  "lib/irm/bootstrap_options.ts",
  "irmd/registry/",
  "irmd/config.ts",
  "irm/grammar.ts",
  "irm/table.ts",
  "ipcp/state.ts",
  "ipcp/verdicts.ts",
  "ipcp/arrivals.ts",
  "ipcp/deadlines.ts",
  "ipcp/registrations.ts",
  "ipcp/unicast/address.ts",
  "ipcp/unicast/congestion.ts",
  "ipcp/unicast/dht/",
  "ipcp/unicast/directory.ts",
  "ipcp/unicast/eids.ts",
  "ipcp/unicast/flow_alloc.ts",
  "ipcp/unicast/forward.ts",
  "ipcp/unicast/graph.ts",
  "ipcp/unicast/link_state.ts",
  "ipcp/unicast/mb_ecn.ts",
  "ipcp/unicast/node.ts",
  "ipcp/unicast/pacer.ts",
  "ipcp/unicast/settings.ts",
  "ipcp/unicast/table.ts",
  "sim/",
  "ipcp/local/machine.ts",
  "ipcp/member/cep.ts",
  "ipcp/member/connections.ts",
  "ipcp/member/enrollment.ts",
  "ipcp/shim/machine.ts",
  "ipcp/shim/eids.ts",
  "ipcp/shim/directory.ts",
  "security/der.ts",
  "security/enc_conf.ts",
  "security/pem.ts",
  "security/printable.ts",
  "security/x509/",
  "security/kex/ffdhe.ts",
  "security/kex/spki.ts",
  "security/oap/client.ts",
  "security/oap/negotiate.ts",
  "security/oap/peer_name.ts",
  "security/oap/port.ts",
  "security/oap/replay_cache.ts",
  "security/oap/server.ts",
  "security/oap/session_key.ts",
  "security/oap/types.ts",
  "oping/numbers.ts",
  "oping/options.ts",
  "oping/report.ts",
  "oping/rtt_stats.ts",
  "oping/run.ts",
  "oping/usage.ts",
];

/** What a pure file must not mention, with an example that the rule must find. */
const IMPURE: readonly (readonly [RegExp, string])[] = [
  [/\bDeno\.(?!inspect\b|customInspect\b)/, "Deno.readFileSync(path)"],
  [/\bDate\.now\b|\bnew Date\(\)/, "const t = Date.now();"],
  [/\bperformance\./, "performance.now()"],
  [/\bset(Timeout|Interval|Immediate)\b/, "setTimeout(f, 1)"],
  [/\bMath\.random\b/, "Math.random()"],
  [/\bgetRandomValues\b|\brandomUUID\b|\brandomBytes\b/, "crypto.getRandomValues(b)"],
  [/from "[^"]*\/sys\//, 'import { libc } from "../sys/ffi.ts";'],
  [/\bfetch\(/, 'fetch("http://x")'],
];

/** Parts that no program uses yet, and who will. A file that is used leaves this list. */
const AHEAD: Readonly<Record<string, string>> = {};

/** Words of unfinished or foreign origin. */
const FORBIDDEN: readonly (readonly [RegExp, string])[] = [
  [/\b(TODO|FIXME|XXX|HACK)\b/, "// TODO: later"],
  [/\bnot implemented\b|\bunimplemented\b/i, "throw new Error('not implemented')"],
  [/"\/(home|root|Users)\/(?!nonexistent)\w/, 'const p = "/home/me/ouro";'],
];

interface Source {
  readonly path: string;
  readonly text: string;
  /** Without comments, so that prose may name what code must not use. */
  readonly code: string;
}

function* walk(dir: string): Generator<string> {
  for (const entry of Deno.readDirSync(join(ROOT, dir))) {
    const path = dir === "" ? entry.name : `${dir}/${entry.name}`;
    if (/^(\.git|dist|node_modules|\.coverage)$/.test(path) || path === "tests/vectors") continue;
    if (entry.isDirectory) yield* walk(path);
    else if (entry.isFile && entry.name.endsWith(".ts")) yield path;
  }
}

/** Takes comments away; strings stay. Line numbers are kept. */
function withoutComments(text: string): string {
  const pattern =
    /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/.*/g;
  return text.replace(
    pattern,
    (token) => token.startsWith("/") ? token.replace(/[^\n]/g, " ") : token,
  );
}

const sources: readonly Source[] = [...walk("")].sort().map((path) => {
  const text = Deno.readTextFileSync(join(ROOT, path));
  return { path, text, code: withoutComments(text) };
});
const program = sources.filter(({ path }) => !/^(tests|scripts)\//.test(path));

/** `path:line` of each match. */
function places(source: Source, of: "text" | "code", pattern: RegExp): string[] {
  return source[of].split("\n").flatMap((line, i) =>
    pattern.test(line) ? [`${source.path}:${i + 1}: ${line.trim().slice(0, 80)}`] : []
  );
}

/** Modules that a file imports, exports from, loads lazily or starts as a worker; from the root. */
function importsOf({ path, code }: Source): string[] {
  const dir = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
  const found: string[] = [];
  for (
    const [, specifier] of code.matchAll(
      /(?:\bfrom|\bimport\(|\bimport|new URL\()\s*"(\.[^"]+\.tsx?)"/g,
    )
  ) {
    found.push(relative("/", join("/", dir, specifier!)));
  }
  return found;
}

function roomOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : path;
}

Deno.test("tidy: the rules find what they are for", () => {
  for (const [pattern, example] of [...IMPURE, ...FORBIDDEN]) {
    assert(pattern.test(example), example);
  }
  assertEquals(
    withoutComments('a /* Deno.x */ "//" // y\n`/*`'),
    'a              "//"     \n`/*`',
  );
  assertEquals(
    importsOf({
      path: "a/b.ts",
      text: "",
      code:
        'import "./c.ts"; export * from "../d.ts"; await import("./e.ts"); new URL("./f.ts", x)',
    }),
    ["a/c.ts", "d.ts", "a/e.ts", "a/f.ts"],
  );
});

Deno.test("tidy: the list of pure files names what is there", () => {
  for (const entry of PURE) {
    assert(sources.some(({ path }) => path === entry || path.startsWith(entry)), entry);
  }
});

Deno.test("tidy: pure files use no I/O, clock, timer, randomness or lib/sys", () => {
  const found = program
    .filter(({ path }) => PURE.some((p) => p.endsWith("/") ? path.startsWith(p) : path === p))
    .flatMap((source) => IMPURE.flatMap(([pattern]) => places(source, "code", pattern)));
  assertEquals(found, []);
});

Deno.test("tidy: pure files import pure files, hashes and data alone", () => {
  const isPure = (path: string) =>
    PURE.some((p) => p.endsWith("/") ? path.startsWith(p) : path === p);
  const found: string[] = [];
  for (const source of program.filter(({ path }) => isPure(path))) {
    for (const target of importsOf(source)) {
      const text = program.find(({ path }) => path === target);
      if (text === undefined || isPure(target)) continue;
      const bad = IMPURE.flatMap(([pattern]) => places(text, "code", pattern));
      if (bad.length > 0) found.push(`${source.path} imports ${bad[0]}`);
    }
  }
  assertEquals(found, []);
});

Deno.test("tidy: dlopen and pointers are in lib/sys alone", () => {
  const unsafe = /Deno\.dlopen|Deno\.Unsafe\w+|UnsafePointer|UnsafeCallback|getArrayBuffer/;
  const found = program
    .filter(({ path }) => !path.startsWith("lib/sys/"))
    .flatMap((source) => places(source, "code", unsafe));
  assertEquals(found, []);
});

Deno.test("tidy: imports point downwards", () => {
  const found: string[] = [];
  for (const source of program) {
    const room = roomOf(source.path);
    const allowed = ROOMS[room];
    if (allowed === undefined) throw new Error(`${source.path} is in no room`);
    for (const target of importsOf(source)) {
      const to = roomOf(target);
      // The path of the program, to start it again; not an import.
      if (source.path === "lib/self.ts" && target === "main.ts") continue;
      if (to !== room && !allowed.includes(to)) found.push(`${source.path} imports ${target}`);
    }
  }
  assertEquals(found, []);
});

Deno.test("tidy: nothing of the program imports tests or scripts", () => {
  const found = program.flatMap((source) =>
    importsOf(source).filter((t) => /^(tests|scripts)\//.test(t)).map((t) => `${source.path}: ${t}`)
  );
  assertEquals(found, []);
});

/** Files of the program that are imported in a circle; imports of types alone do not count. */
function cycles(): string[] {
  const graph = new Map<string, string[]>();
  for (const source of program) {
    const code = source.code.replace(/\b(?:import|export) type\b[^;]*;/g, "");
    const lazy = new Set(
      [...code.matchAll(/(?:import\(|new URL\()\s*"([^"]+)"/g)].map(([, s]) => s!),
    );
    const now = code.replace(
      /(?:import\(|new URL\()\s*"([^"]+)"/g,
      (all, s: string) => lazy.has(s) ? "" : all,
    );
    // `import { type A, type B } from` is gone at run time as well.
    const kept = now.replace(/\bimport \{([^}]*)\} from "[^"]+";/g, (all, names: string) => {
      const list = names.split(",").map((n) => n.trim()).filter((n) => n !== "");
      return list.every((n) => n.startsWith("type ")) ? "" : all;
    });
    graph.set(source.path, importsOf({ ...source, code: kept }));
  }
  const state = new Map<string, "open" | "done">();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === "done") return;
    if (state.get(path) === "open") {
      found.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
      return;
    }
    state.set(path, "open");
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    state.set(path, "done");
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

Deno.test("tidy: no files import each other in a circle", () => {
  assertEquals(cycles(), []);
});

Deno.test("tidy: every file of the program is reached from an entry point", () => {
  // The simulator is a part of the product that only tests start so far.
  const entries = ["main.ts", "lib/mod.ts", "sim/layer.ts", "sim/topology.ts"];
  const reached = new Set<string>();
  const visit = (path: string): void => {
    if (reached.has(path)) return;
    reached.add(path);
    const source = sources.find((s) => s.path === path);
    for (const target of source === undefined ? [] : importsOf(source)) visit(target);
  };
  for (const path of entries) visit(path);
  const orphans = program.map(({ path }) => path)
    .filter((path) => !reached.has(path) && !path.startsWith("examples/"));
  assertEquals(orphans, Object.keys(AHEAD).sort());
});

Deno.test("tidy: no unfinished words and no paths of one machine", () => {
  const found = sources
    .filter(({ path }) => path !== "tests/unit/tidy_test.ts")
    .flatMap((source) => FORBIDDEN.flatMap(([pattern]) => places(source, "text", pattern)));
  assertEquals(found, []);
});

Deno.test("tidy: every file begins with what it is about", () => {
  const found = program.filter(({ text }) =>
    !/^(#!.*\n)?(\/\/ deno-lint.*\n)?\/(\*\*|\/)/.test(text)
  );
  assertEquals(found.map(({ path }) => path), []);
});

Deno.test("tidy: `any` is in lib/sys alone, or stands below its reason", () => {
  const found = program
    .filter(({ path }) => !path.startsWith("lib/sys/"))
    .flatMap(({ path, text, code }) => {
      const lines = text.split("\n");
      return code.split("\n").flatMap((line, i) =>
        /(:|\bas|<)\s*any\b/.test(line) &&
          !/deno-lint-ignore no-explicit-any -- \w/.test(lines[i - 1] ?? "")
          ? [`${path}:${i + 1}`]
          : []
      );
    });
  assertEquals(found, []);
});

Deno.test("tidy: every test file has tests that can fail", () => {
  const found = sources
    .filter(({ path }) => path.endsWith("_test.ts"))
    .filter(({ code }) => !/assert|expect|fc\.|throw new|ensure/.test(code))
    .map(({ path }) => path);
  assertEquals(found, []);
});
