/** TOML 1.0: examples of each kind of value, what is refused and where; @std/toml is the twin. */

import { assertEquals } from "@std/assert";
import { parse } from "@std/toml";
import { demand } from "./demand.ts";
import fc from "fast-check";
import {
  parseToml,
  TomlError,
  type TomlTable,
  type TomlValue,
} from "../../../../irmd/config/toml.ts";

/** A value without its lines. */
function plain(value: TomlValue): unknown {
  switch (value.kind) {
    case "table":
      return Object.fromEntries([...value.entries].map(([key, v]) => [key, plain(v)]));
    case "array":
      return value.items.map(plain);
    default:
      return value.value;
  }
}

function good(text: string): TomlTable {
  const root = parseToml(text);
  if (root instanceof TomlError) throw root;
  return root;
}

function error(text: string): string {
  const root = parseToml(text);
  demand(root instanceof TomlError, text);
  return root.message;
}

Deno.test("parseToml() reads every kind of value", () => {
  assertEquals(
    plain(good(String.raw`
# comment
a = "x\ty\u00e9\U0001F600" # after
b = 'raw\n'
c = """
one \
   two"""
d = '''
x'y'''
i = [0, -1, +2, 1_000, 0xA0_07, 0o17, 0b101]
f = [1.5, 1e3, -2.5E-3, inf, -inf]
t = [true, false,]
when = [1979-05-27T07:32:00Z, 1979-05-27 07:32:00, 07:32:00]
e = { x = 1, y.z = "q" }
"quoted key" = 1
dotted.key."x y" = 2
[tab.le]
k = 1
[[arr]]
n = 1
[[arr]]
n = 2
[arr.sub]
m = 3
`)),
    {
      a: "x\tyé😀",
      b: "raw\\n",
      c: "one two",
      d: "x'y",
      i: [0, -1, 2, 1000, 0xa007, 15, 5],
      f: [1.5, 1000, -0.0025, Infinity, -Infinity],
      t: [true, false],
      when: ["1979-05-27T07:32:00Z", "1979-05-27 07:32:00", "07:32:00"],
      e: { x: 1, y: { z: "q" } },
      "quoted key": 1,
      dotted: { key: { "x y": 2 } },
      tab: { le: { k: 1 } },
      arr: [{ n: 1 }, { n: 2, sub: { m: 3 } }],
    },
  );
});

Deno.test("parseToml() takes CRLF, a byte-order mark and a missing last newline", () => {
  assertEquals(plain(good('\ufeffa = 1\r\nb = """\r\nx\r\ny"""\r\n# c\r\nc = [\r\n1]')), {
    a: 1,
    b: "x\r\ny",
    c: [1],
  });
});

Deno.test("parseToml() gives the line of each value and table", () => {
  const root = good('a = 1\n\n[b]\nc = [\n 2,\n 3]\nd = """\n\n"""\ne = 1\n');
  const b = root.entries.get("b") as TomlTable;
  assertEquals(b.line, 3);
  const c = b.entries.get("c")!;
  demand(c.kind === "array");
  assertEquals(c.items.map(({ line }) => line), [5, 6]);
  assertEquals(b.entries.get("e")!.line, 10);
});

Deno.test("parseToml() refuses with the line of the mistake", () => {
  const refused: Record<string, string> = {
    "[name\n": "line 1: invalid key",
    "a = 1\nb\n": "line 2: missing =",
    "a = \n": "line 1: missing value",
    "a = 1 2\n": "line 1: extra characters after the value",
    'a = "x\n"\n': "line 1: unterminated string",
    "a = 'x\n'": "line 1: unterminated string",
    'a = """x\n': "line 2: unterminated string",
    "a = [1\n": "line 1: unterminated array",
    "a = [1 2]\n": "line 1: array: expected , or ]",
    "a = {x=1\n}\n": "line 1: inline table: expected , or }",
    "a = 01\n": "line 1: unknown value",
    "a = 1__0\n": "line 1: unknown value",
    "a = DHT\n": "line 1: unknown value",
    'a = "\\q"\n': "line 1: invalid escape in a string",
    'a = "\\ud800"\n': "line 1: escape is not a Unicode character",
    'a = "\x01"\n': "line 1: control character in a string",
    "a = 1\na = 2\n": "line 2: key exists: a",
    "[a]\n[a]\n": "line 2: key exists: a",
    "a.b = 1\n[a]\n": "line 2: key exists: a",
    "a = {}\n[a.b]\n": 'line 2: "a" is not a table',
    "[a]\nb.c = 1\n[a.b]\n": "line 3: key exists: b",
    "[[a]]\n[a]\n": "line 2: key exists: a",
    "a = []\n[[a]]\n": "line 2: key exists: a",
    "= 1\n": "line 1: invalid key",
    "'''x''' = 1\n": "line 1: invalid key",
  };
  for (const [text, message] of Object.entries(refused)) assertEquals(error(text), message, text);
  assertEquals(error(`a = ${"[".repeat(40)}`), "line 1: nested too deeply");
});

Deno.test("parseToml() lets a header open a table that a deeper header implied", () => {
  assertEquals(plain(good("[a.b]\nx=1\n[a]\ny=2\n")), { a: { b: { x: 1 }, y: 2 } });
});

Deno.test("parseToml() agrees with @std/toml on documents that both take", () => {
  const key = fc.stringMatching(/^[a-z]{1,3}$/);
  const scalar = fc.oneof(
    fc.integer().map(String),
    fc.boolean().map(String),
    fc.string({ maxLength: 8 }).map((s) => JSON.stringify(s).replaceAll("\x7f", "")),
    fc.stringMatching(/^[a-z ]{0,8}$/).map((s) => `'${s}'`),
  );
  const value = fc.oneof(
    scalar,
    fc.array(scalar, { maxLength: 3 }).map((items) => `[ ${items.join(" , ")} ]`),
  );
  const line = fc.tuple(key, value).map(([k, v]) => `${k} = ${v}`);
  const table = fc.tuple(key, key, fc.array(line, { maxLength: 3 }))
    .map(([a, b, lines]) => [`[${a}.${b}]`, ...lines].join("\n"));
  fc.assert(
    fc.property(fc.array(table, { maxLength: 4 }), (tables) => {
      const text = tables.join("\n");
      let twin: unknown;
      try {
        twin = parse(text);
      } catch {
        return;
      }
      const ours = parseToml(text);
      // The twin merges tables that TOML forbids to open twice.
      if (ours instanceof TomlError) demand(ours.reason.startsWith("key exists"), text);
      else assertEquals(plain(ours), twin);
    }),
    { numRuns: 500 },
  );
});
