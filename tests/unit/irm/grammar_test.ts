/** The words, pairs and wildcards of `irm`. Whole command lines are proved by the transcripts. */

import { assert, assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { BOOTSTRAP_KEYS } from "../../../irm/ipcp_bootstrap.ts";
import { byteLength, matchWord, parsePairs, wildcardMatch } from "../../../irm/grammar.ts";
import { splitFlags } from "../../../irm/flags.ts";
import { splitPrefix } from "../../../lib/prefix.ts";

Deno.test("matchWord() gives the abbreviations of bootstrap that spec 21 A2.3 lists", () => {
  const abbreviations: Record<string, string> = {
    "": "type",
    d: "dns",
    de: "device",
    dev: "device",
    di: "directory",
    dht_: "dht_alpha",
    e: "ethertype",
    ei: "eid",
    a: "addr",
    au: "autobind",
    addr_: "addr_auth",
    t: "type",
    tt: "ttl",
    l: "layer",
    ls_: "ls_t_timeo",
    i: "ip",
    n: "name",
    h: "hash",
    p: "port",
    r: "routing",
    c: "congestion",
  };
  for (const [word, key] of Object.entries(abbreviations)) {
    assertEquals(matchWord(word, BOOTSTRAP_KEYS), key, word);
  }
});

Deno.test("matchWord() refuses a word longer than every candidate", () => {
  assertEquals(matchWord("typed", BOOTSTRAP_KEYS), undefined);
});

Deno.test("parsePairs() tells a missing value from an unknown key", () => {
  const grammar = { keys: ["name", "auto"], exact: ["auto"], flags: ["auto"] } as const;
  assertEquals(parsePairs(["n", "x", "auto"], grammar), {
    kind: "pairs",
    pairs: [{ key: "name", typed: "n", value: "x" }, { key: "auto", typed: "auto", value: "" }],
  });
  assertEquals(parsePairs(["auto", "name"], grammar).kind, "missing");
  assertEquals(parsePairs(["au"], grammar), {
    kind: "unknown",
    word: "au",
    hasValue: false,
    known: ["name", "auto"],
    pairs: [],
  });
});

Deno.test("wildcardMatch() knows only the star", () => {
  assert(wildcardMatch("*", ""));
  assert(wildcardMatch("l*y", "lay"));
  assert(wildcardMatch("l*y", "ly"));
  assert(wildcardMatch("a*b*c", "aXbYbZc"));
  assert(wildcardMatch("a?c", "a?c"));
  assertFalse(wildcardMatch("a?c", "abc"));
  assertFalse(wildcardMatch("aba*aba", "aba"));
  assertFalse(wildcardMatch("a*b*c", "acb"));
  assertFalse(wildcardMatch("", "x"));
});

Deno.test("wildcardMatch() agrees with a regular expression", () => {
  const words = fc.string({ unit: fc.constantFrom("a", "b", "*", "."), maxLength: 8 });
  fc.assert(fc.property(words, fc.string({ unit: fc.constantFrom("a", "b", "."), maxLength: 10 }), (
    pattern,
    text,
  ) => {
    const escaped = pattern.replaceAll(".", "\\.").replaceAll("*", ".*");
    assertEquals(wildcardMatch(pattern, text), new RegExp(`^${escaped}$`).test(text));
  }));
});

Deno.test("byteLength() counts UTF-8", () => {
  assertEquals(byteLength("aé€😀"), 1 + 2 + 3 + 4);
});

Deno.test("splitFlags() takes flags from either end and leaves what follows a --", () => {
  assertEquals(splitFlags(["--prefix", "/d", "name", "list", "--json"]), {
    args: ["name", "list"],
    prefix: "/d",
    json: true,
    missingPrefix: false,
  });
  assertEquals(splitFlags(["b", "p", "x", "n", "y", "--", "--json", "--prefix", "z"]), {
    args: ["b", "p", "x", "n", "y", "--", "--json", "--prefix", "z"],
    prefix: undefined,
    json: false,
    missingPrefix: false,
  });
});

Deno.test("splitPrefix() tells a flag without directory", () => {
  assert(splitPrefix(["name", "--prefix"]).missingValue);
  assert(splitPrefix(["--prefix="]).missingValue);
  assertEquals(splitPrefix(["--prefix=/a", "x", "--prefix", "/b"]).prefix, "/b");
});
