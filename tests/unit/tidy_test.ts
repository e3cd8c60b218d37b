/**
 * The rules of the house that no compiler knows: which files are pure, where unsafe code may be, which
 * way imports point, that nothing is left over. Each rule is shown to find a breach, too.
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join, relative } from "@std/path";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** Rooms of the program, from the top down: a room imports from itself and from those it may. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  "main.ts": ["commands", "lib"],
  commands: ["irm", "irmd", "ipcp", "oping", "tools", "pki", "lib"],
  irm: ["lib"],
  oping: ["lib"],
  tools: ["lib"],
  pki: ["security", "lib"],
  irmd: ["security", "lib"],
  ipcp: ["security", "lib"],
  security: ["lib"],
  lib: [],
  examples: ["ipcp", "lib"],
  sim: ["ipcp", "lib"],
};

/** Folders inside lib and ipcp, from the bottom up: a file imports from its own level and those below. */
const LEVELS: readonly (readonly RegExp[])[] = [
  [/^lib\/(builtin|errno|failure|exit|runtime|limits|codes|qos|crc32|inet|log|printable|self|prefix|fifo|hurry)\.ts$/],
  [/^lib\/sys\//],
  [/^lib\/(instance|heap)\.ts$/],
  [/^lib\/shm\//],
  [/^lib\/wire\//, /^lib\/cli\//],
  [/^lib\/irm\//, /^lib\/hash\.ts$/, /^lib\/rib\//],
  [/^lib\/crypt\//, /^lib\/frct\//],
  [/^lib\/flow\//],
  [/^lib\/mod\.ts$/],
  [/^ipcp\/[^/]+\.ts$/],
  [/^ipcp\/data\//, /^ipcp\/member\//],
  [/^ipcp\/shim\//],
  [/^ipcp\/(local|udp|eth|unicast|broadcast)\//],
];

/** Where a file stands above what its folder says, and why. */
const LEVEL_OF: Readonly<Record<string, string>> = {
  // Named by what it makes: the entry of every IPCP.
  "ipcp/main.ts": "ipcp/unicast/main.ts",
  // Over the data plane, under every type.
  "ipcp/flow_shell.ts": "ipcp/shim/flow_shell.ts",
  "ipcp/member/shell.ts": "ipcp/shim/member_shell.ts",
};

/** Rooms of machines and formats: every file in them says that it is pure. */
const PURE_ROOMS: readonly RegExp[] = [
  /^lib\/(wire|frct)\//,
  /^irmd\/registry\//,
  /^sim\//,
  /^ipcp\/(arrivals|registrations|deadlines|lingering|state|machine)\.ts$/,
  /^ipcp\/[^/]+\/machine\.ts$/,
  /^ipcp\/member\/(?!(lower_flows|held_flows|shell)\.ts)/,
  /^ipcp\/unicast\/(?!ipcp\.ts|data\/|policy\/(compile|load|make|own)\.ts)/,
  /^ipcp\/broadcast\/(?!ipcp\.ts|data\/)/,
  /^security\/(oap|path)\/(?!mod\.ts)/,
];

/** What machines may not even know the types of: shells, and what shells stand on. */
const SHELLS =
  /^lib\/(sys|shm|flow)\/|^ipcp\/(\w+\/)?data\/|(^|\/)(ipcp|shell|machine_shell|flow_shell)\.ts$/;

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

/** What a merge leaves in a text that nobody finished. */
const MERGE_MARK = /^(?:<{7}|>{7}) .*/m;

interface Source {
  readonly path: string;
  readonly text: string;
  /** Without comments, so that prose may name what code must not use. */
  readonly code: string;
}

/** Every file of the project but vectors, and what is made or fetched. */
function* walk(dir: string): Generator<string> {
  for (const entry of Deno.readDirSync(join(ROOT, dir))) {
    const path = dir === "" ? entry.name : `${dir}/${entry.name}`;
    if (
      /^(\.git|dist|node_modules|\.coverage|bench\.json|.*\.log)$/.test(path) ||
      path === "tests/vectors"
    ) continue;
    if (entry.isDirectory) yield* walk(path);
    else if (entry.isFile) yield path;
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

const files = [...walk("")].sort();
const sources: readonly Source[] = files.filter((path) => path.endsWith(".ts")).map((path) => {
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

/** Whether a file says in its head comment that it is pure. */
function isPure({ text }: Source): boolean {
  return /\bPure\b/.test(/^(?:\/\/ deno-lint.*\n)?\/\*\*[\s\S]*?\*\//.exec(text)?.[0] ?? "");
}

/** Without imports and exports of types, which are gone at run time. */
function withoutTypes(source: Source): Source {
  const code = source.code
    .replace(/\b(?:import|export) type\b[^;]*;/g, "")
    .replace(/\b(?:import|export) \{([^}]*)\} from "[^"]+";/g, (all, names: string) => {
      const list = names.split(",").map((n) => n.trim()).filter((n) => n !== "");
      return list.every((n) => n.startsWith("type ")) ? "" : all;
    });
  return { ...source, code };
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

Deno.test("tidy: machines and formats say that they are pure", () => {
  const found = program
    .filter(({ path }) => PURE_ROOMS.some((room) => room.test(path)))
    .filter((source) => !isPure(source));
  assertEquals(found.map(({ path }) => path), []);
  for (const room of PURE_ROOMS) {
    if (/broadcast|machine/.test(room.source)) continue;
    assert(program.some(({ path }) => room.test(path)), `${room} names nothing`);
  }
});

Deno.test("tidy: pure files use no I/O, clock, timer, randomness or lib/sys", () => {
  const found = program.filter(isPure)
    .flatMap((source) => IMPURE.flatMap(([pattern]) => places(source, "code", pattern)));
  assertEquals(found, []);
});

Deno.test("tidy: pure files import pure files, and of others types alone", () => {
  const found = program.filter(isPure).flatMap((source) =>
    importsOf(withoutTypes(source))
      .filter((target) => !program.some((s) => s.path === target && isPure(s)))
      .map((target) => `${source.path} imports ${target}`)
  );
  assertEquals(found, []);
});

Deno.test("tidy: machines know no shell, not even its types", () => {
  const found = program
    .filter(({ path }) => PURE_ROOMS.some((room) => room.test(path)))
    .flatMap((source) =>
      importsOf(source)
        .filter((target) => SHELLS.test(target))
        .filter((target) => !program.some((s) => s.path === target && isPure(s)))
        .map((target) => `${source.path} imports ${target}`)
    );
  assertEquals(found, []);
});

/** How high a file of lib or ipcp stands; -1 for what has no place. */
function levelOf(path: string): number {
  const place = LEVEL_OF[path] ?? path;
  return LEVELS.findIndex((level) => level.some((pattern) => pattern.test(place)));
}

Deno.test("tidy: inside lib and ipcp imports point downwards", () => {
  assert(levelOf("lib/sys/ffi.ts") < levelOf("lib/shm/pool.ts"));
  assert(levelOf("lib/wire/proto.ts") < levelOf("lib/irm/client.ts"));
  const found: string[] = [];
  for (const { path, code } of program) {
    if (!/^(lib|ipcp)\//.test(path)) continue;
    const own = levelOf(path);
    if (own < 0) found.push(`${path} has no level`);
    for (const target of importsOf({ path, text: "", code })) {
      const breach = `${path} imports ${target}`;
      const type = /^ipcp\/(\w+)\//.exec(path)?.[1];
      const other = /^ipcp\/(local|udp|eth|unicast|broadcast)\//.exec(target)?.[1];
      const sideways = path !== "ipcp/main.ts" &&
        (other !== undefined && other !== type || type === "local" && /^ipcp\/shim\//.test(target));
      if (/^(lib|ipcp)\//.test(target) && (levelOf(target) > own || sideways)) found.push(breach);
    }
  }
  assertEquals(found, []);
});

Deno.test("tidy: dlopen and pointers are in lib/sys alone", () => {
  const unsafe = /Deno\.dlopen|Deno\.Unsafe\w+|UnsafePointer|UnsafeCallback|getArrayBuffer/;
  const found = program
    // Made of files that this rule covers.
    .filter(({ path }) => !path.startsWith("lib/sys/") && path !== "lib/flow/waiter_source.ts")
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
    const code = withoutTypes(source).code.replace(
      /(?:import\(|new URL\()\s*"([^"]+)"/g,
      "",
    );
    graph.set(source.path, importsOf({ ...source, code }));
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
  // The simulator is started by tasks, the waiter as a text that is made of it.
  const scripts = ["scripts/sim.ts", "scripts/figures.ts"];
  const entries = [
    "main.ts",
    "lib/mod.ts",
    "lib/irm/mod.ts",
    "lib/flow/waiter_worker.ts",
    ...scripts,
  ];
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

Deno.test("tidy: no text has the marks of a merge", () => {
  const mark = "<".repeat(7);
  assert(MERGE_MARK.test(`a\n${mark} HEAD\n`) && !MERGE_MARK.test(`a ${mark} b\n=======\n`));
  const found = files.flatMap((path) => {
    const at = MERGE_MARK.exec(Deno.readTextFileSync(join(ROOT, path)));
    return at === null ? [] : [`${path}: ${at[0]}`];
  });
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

/** Sections that a page of `docs/spec` has: every `§M` that it names as its own. */
function sectionsOf(page: string): Set<string> {
  const text = Deno.readTextFileSync(join(ROOT, "docs/spec", page));
  const own = text.replace(/\b\d\d §[\d.]+/g, "");
  return new Set([...own.matchAll(/§([A-Z]?\d+(?:\.\d+)?)/g)].map((m) => m[1]!));
}

/** Citations `spec NN §M, §K` of a text: page and section. */
function citationsOf(text: string): [string, string][] {
  const list = /spec (\d\d) ((?:§\s?[A-Z]?\d+(?:\.\d+)?(?:[,–-]\s?)?(?:and )?)+)/g;
  return [...text.matchAll(list)].flatMap(([, page, sections]) =>
    [...sections!.matchAll(/§\s?([A-Z]?\d+(?:\.\d+)?)/g)].map((m) =>
      [page!, m[1]!] as [string, string]
    )
  );
}

Deno.test("tidy: every cited section of the interfaces has its page and place", () => {
  const pages = new Map<string, Set<string>>();
  for (const { name } of Deno.readDirSync(join(ROOT, "docs/spec"))) {
    if (/^\d\d-/.test(name)) pages.set(name.slice(0, 2), sectionsOf(name));
  }
  assert(citationsOf("spec 10 §11.12, §99 and spec 77 §1").length === 3);
  const missing = sources.flatMap(({ path, text }) =>
    path.endsWith("tidy_test.ts")
      ? []
      : citationsOf(text).filter(([page, section]) => !pages.get(page)?.has(section))
        .map(([page, section]) => `${path}: spec ${page} §${section}`)
  );
  assertEquals(missing, []);
});
