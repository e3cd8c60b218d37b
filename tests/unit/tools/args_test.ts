/** Numbers, times, option words and printf of the tools. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  exactLoss,
  fixed,
  parseKeepaliveMs,
  parseScaled,
  parseTimeMs,
  unitWarning,
} from "../../../lib/cli/numbers.ts";
import { parseOptions } from "../../../lib/cli/options.ts";
import { packetLimit, readCommon } from "../../../tools/common.ts";
import { parseOptions as parseOping } from "../../../oping/options.ts";
import { parseOcat } from "../../../tools/ocat/options.ts";
import { parseOecho } from "../../../tools/oecho.ts";
import { cText } from "../../../tools/console.ts";
import { parseOcbr } from "../../../tools/ocbr/options.ts";
import { parseOperf } from "../../../tools/operf/options.ts";
import { intervalLine } from "../../../tools/operf/text.ts";
import { parseOvpn } from "../../../tools/ovpn/options.ts";

Deno.test("parseScaled() reads a number and its suffix whole, or nothing", () => {
  assertEquals(parseScaled("12k", 0, 1e9), 12_000);
  assertEquals(parseScaled("7", 7, 7), 7);
  assertEquals(parseScaled("2G", 0, 1e9), undefined);
  for (const text of ["", "-1", "+7", " 7", "7 ", "7kk", "0x3", "1e3", "k", "2Gfoo", "1.5"]) {
    assertEquals(parseScaled(text, 0, 1e15), undefined, text);
  }
});

Deno.test("the tools refuse numbers that are not whole, out of bounds or of a wrong unit", () => {
  const operf = ["-s 3x", "-s -1", "-s 0x40", "-r -1", "-r 1e3", "-d -1", "-d ", "--count 0"];
  const ocbr = ["-r 2Gfoo", "-d 3x", "-d -1", "-i abc", "-t 0x1", "-s 1e3", "-s ", "-q gold"];
  for (const words of operf) {
    const got = parseOperf(["-n", "x", ...words.split(" ")]);
    assertEquals(got.kind === "exit" && got.code, 1, words);
  }
  for (const words of ocbr) {
    const got = parseOcbr(["-n", "x", ...words.split(" ")]);
    assertEquals(got.kind === "exit" && got.code, 1, words);
  }
});

Deno.test("parseTimeMs() knows the units of the prototype, us and decimals", () => {
  assertEquals(parseTimeMs("5"), { ms: 5 });
  assertEquals(parseTimeMs("2m"), { ms: 120_000 });
  assertEquals(parseTimeMs("0.2s"), { ms: 200 });
  assertEquals(parseTimeMs("250us"), { ms: 0.25 });
  assertEquals(parseTimeMs("-1"), { wrong: "it is negative" });
  assertEquals(parseTimeMs("5x"), { unit: "x" });
  assertEquals(parseTimeMs("x"), { unit: "x" });
  assertEquals(parseTimeMs(""), { wrong: "it is empty" });
  assertEquals(parseTimeMs("99999999d"), { wrong: "it is more than ten years" });
  assertEquals(parseTimeMs("5constructor"), { unit: "constructor" });
});

Deno.test("every tool whose flows have a peer takes --keepalive, and refuses the same of it", () => {
  const good: [string, number][] = [["10s", 10_000], ["0", 0], ["500ms", 500], ["1.5s", 1500]];
  const bad = ["", "-1", "abc", "3x", "0x3", "50d", "0.2us", "1e3", "NaN"];
  for (const [text, ms] of good) assertEquals(parseKeepaliveMs(text), ms, text);
  for (const text of bad) assertEquals(parseKeepaliveMs(text), undefined, text);
  const net = ["-i", "10.1.1.1", "-m", "255.255.255.0"];
  type Command = { kind: string; keepaliveMs?: number | undefined; warnings?: readonly string[] };
  const tools: Record<string, (words: string[]) => Command> = {
    oping: (w) => parseOping(["x", ...w]) as Command,
    operf: (w) => opened(parseOperf(["-n", "x", ...w])),
    ocbr: (w) => opened(parseOcbr(["-n", "x", ...w])),
    oecho: (w) => opened(parseOecho(w)),
    ocat: (w) => opened(parseOcat(["x", ...w])),
    ovpn: (w) => opened(parseOvpn([...net, ...w])),
  };
  // deno-lint-ignore no-explicit-any -- what the commands call their options differs
  function opened(command: any): Command {
    return { kind: command.kind, ...(command.options ?? command.common) };
  }
  for (const [tool, parse] of Object.entries(tools)) {
    for (const [text, ms] of good) {
      assertEquals(parse(["--keepalive", text]).keepaliveMs, ms, `${tool} ${text}`);
    }
    for (const text of bad) {
      assertEquals(parse(["--keepalive", text]).kind, "exit", `${tool} ${text}`);
    }
    assertEquals(parse([]).keepaliveMs, undefined, tool);
  }
});

Deno.test("exactLoss() and what was received add up, whatever the rounding", () => {
  const cases: [number, number, number][] = [
    [0, 0, 0],
    [3, 3, 0],
    [3, 2, 33.3333],
    [635_000, 952, 99.8501],
    [10_000_000, 1, 99.9999],
    [10_000_000, 9_999_999, 0.0001],
    [5, 0, 100],
    [2, 3, -50],
  ];
  for (const [sent, received, loss] of cases) assertEquals(exactLoss(sent, received), loss);
});

Deno.test("operf: interim lines are of their interval, and receiver's figures are asked for by default", () => {
  const parsed = parseOperf(["-n", "x", "-s", "1000"]);
  if (parsed.kind !== "run") throw new Error(parsed.out);
  const o = parsed.options;
  assertEquals([o.test, o.testGiven], ["report", false]);
  const [a, b] = [{ us: 1e6, sent: 100, received: 0 }, { us: 2e6, sent: 350, received: 200 }];
  assertEquals(intervalLine(o, a, b), "1.0-2.0 s: 250 packets transmitted, 2.000 Mb/s");
  assertEquals(
    intervalLine({ ...o, test: "bi" }, a, b),
    "1.0-2.0 s: 250 packets transmitted, 200 received, 2.000 Mb/s",
  );
});

Deno.test("a time without unit that is likely wrong is said", () => {
  assertEquals(unitWarning("-d", "5", 1000), "-d 5 means 5 ms here; write 5s for seconds");
  for (const text of ["0", "1000", "5ms", "5s", ""]) {
    assertEquals(unitWarning("-d", text, 1000), undefined, text);
  }
  const warnings = (o: { warnings?: readonly string[] }) => o.warnings ?? [];
  for (const words of [["-d", "5"], ["-i", "1"], ["--timeout", "2"], ["--deadline", "10"]]) {
    assertEquals(warnings(parseOping(["x", ...words]) as never).length, 1, words.join(" "));
  }
  assertEquals(warnings(parseOping(["x", "-i", "10", "-d", "5s"]) as never), []);
  const operf = parseOperf(["-n", "x", "-d", "5", "--timeout", "2", "-r", "8"]);
  assertEquals(operf.kind === "run" && operf.options.warnings.length, 3);
  const ocbr = parseOcbr(["-n", "x", "-d", "5", "-t", "2m", "-i", "3s"]);
  assertEquals(ocbr.kind === "run" && [ocbr.options.durationS, ocbr.options.timeoutS], [5, 120]);
  assertEquals(parseOcbr(["-n", "x", "-d", "500ms"]).kind, "exit");
});

Deno.test("parseOptions() takes --word=value and tells a missing value", () => {
  const table = {
    size: { words: ["-s", "--size"], value: true },
    flood: { words: ["-f"], value: false },
  } as const;
  assertEquals(parseOptions(["--size=5", "-f", "-s", "6"], table), {
    kind: "options",
    options: [["size", "5"], ["flood", ""], ["size", "6"]],
    operands: [],
  });
  assertEquals(parseOptions(["-s"], table), {
    kind: "missing",
    key: "size",
    word: "-s",
    options: [],
  });
  assertEquals(parseOptions(["-fs5", "-s", "-f"], table), {
    kind: "options",
    options: [["flood", ""], ["size", "5"], ["size", "-f"]],
    operands: [],
  });
  assertEquals(parseOptions(["-fx"], table), { kind: "unknown", word: "-fx", options: [] });
  assertEquals(parseOptions(["-f", "--flood"], table), {
    kind: "unknown",
    word: "--flood",
    options: [["flood", ""]],
  });
});

Deno.test("parseOptions() takes operands where they are wanted, and all words after --", () => {
  const table = { size: { words: ["-s"], value: true } } as const;
  assertEquals(parseOptions(["a", "-s", "1", "-", "--", "-s"], table, true), {
    kind: "options",
    options: [["size", "1"]],
    operands: ["a", "-", "-s"],
  });
  assertEquals(parseOptions(["a"], table).kind, "unknown");
});

Deno.test("fixed() rounds ties to the even digit as printf does", () => {
  assertEquals(fixed(0.3125, 3), "0.312");
  assertEquals(fixed(0.4375, 3), "0.438");
  assertEquals(fixed(-0.3125, 3), "-0.312");
  assertEquals(fixed(2.5, 0), "2");
  assertEquals(fixed(3.5, 0), "4");
  assertEquals(fixed(0.1005, 3), "0.101"); // Lies above the tie in binary.
  assertEquals(fixed(NaN, 3), "nan");
});

Deno.test("fixed() is toFixed() wherever there is no tie", () => {
  fc.assert(fc.property(fc.double({ min: -1e9, max: 1e9, noNaN: true }), (x) => {
    const scaled = x * 1000;
    if (Math.abs(scaled - Math.trunc(scaled)) === 0.5) return;
    assertEquals(fixed(x, 3), x.toFixed(3));
  }));
});

Deno.test("cText() ends at the first NUL", () => {
  assertEquals(cText(new TextEncoder().encode("hi\0there")), "hi");
  assertEquals(cText(new TextEncoder().encode("hi")), "hi");
});

Deno.test("parseOperf() complains about units as they come, before later options", () => {
  const got = parseOperf(["-d", "5x", "--bogus"]);
  // An unknown word ends the reading before any unit is looked at.
  assertEquals(got.kind === "exit" && [got.code, got.err], [1, "Unknown option: --bogus"]);
  const rate = parseOperf(["-n", "x", "-r", "5Q"]);
  assertEquals(rate.kind === "exit" && rate.out, "Unknown rate unit: Q.\n");
  for (
    const [option, value] of [["-r", "0x3"], ["-d", "0x3"], ["-r", "9".repeat(20)], ["-d", " 3"]]
  ) {
    const wrong = parseOperf(["-n", "x", option!, value!]);
    const form = option === "-r" ? "a rate such as 500k or 2M" : "a time such as 500ms or 2s";
    assertEquals(wrong.kind === "exit" && wrong.err, `${option} takes ${form}, not "${value}"`);
  }
});

Deno.test("parseOperf() takes rates in plain bits beside the prototype's thousands", () => {
  const rateOf = (word: string) => {
    const got = parseOperf(["-n", "x", "-r", word]);
    return got.kind === "run" ? [got.options.rate, got.options.warnings.length > 0] : undefined;
  };
  assertEquals(rateOf("8"), [8000, true]);
  assertEquals(rateOf("8k"), [8000, false]);
  assertEquals(rateOf("8b"), [8, false]);
  assertEquals(rateOf("8Mbit"), [8e6, false]);
});

Deno.test("readCommon() reads limits and tells what is wrong with them", () => {
  const read = (words: Record<string, string>) => readCommon((key) => words[key]);
  const good = read({ count: "5", bytes: "2M", report: "500", idle: "2s", maxFlows: "3" });
  if (typeof good === "string") throw new Error(good);
  assertEquals([good.packetsMax, good.bytesMax, good.reportMs], [5, 2e6, 500]);
  assertEquals([good.idleMs, good.maxFlows, good.json, good.qos], [2000, 3, false, "raw"]);
  assertEquals(packetLimit(good, 1500), 5);
  assertEquals(packetLimit({ ...good, packetsMax: undefined }, 1500), 1334);
  for (
    const bad of [{ count: "0" }, { count: "x" }, { bytes: "5x" }, { report: "-1" }, { idle: "2y" }]
  ) {
    assertEquals(typeof read(bad), "string", JSON.stringify(bad));
  }
});

Deno.test("a missing value never crashes a tool", () => {
  for (const parse of [parseOperf, parseOcbr, parseOvpn]) {
    for (const word of ["-n", "-d", "-s", "-r", "-i", "-m", "-t", "--count", "--mtu"]) {
      const got = parse([word]);
      assertEquals(got.kind, "exit", word);
    }
  }
});

Deno.test("parseOvpn() takes abbreviations, bundles, words in between and a /32 mask", () => {
  const got = parseOvpn(["--ma=255.255.255.255", "-i10.0.0.1", "--na", "srv", "--mtu", "1400"]);
  if (got.kind !== "run") throw new Error(got.out);
  assertEquals([...got.options.mask], [255, 255, 255, 255]);
  assertEquals(got.options.name, "srv");
  assertEquals(got.options.mtuBytes, 1400);
  const ip6 = parseOvpn(["-i", "10.0.0.1", "-m", "255.0.0.0", "--ip6", "fd00::1/48"]);
  assertEquals(ip6.kind === "run" && ip6.options.ip6?.prefixBits, 48);
  const bad = parseOvpn(["--bogus"]);
  assertEquals(bad.kind === "exit" && bad.err, "ovpn: unrecognized option '--bogus'");
  const near = parseOvpn(["--keepalvie", "5"]);
  assertEquals(
    near.kind === "exit" && near.err,
    `ovpn: unrecognized option '--keepalvie', did you mean "--keepalive"?`,
  );
  const brief = parseOvpn(["-i", "10.0.0.1", "-m", "255.0.0.0", "--keepalive", "5"]);
  assertEquals(
    brief.kind === "run" && brief.options.warning,
    "--keepalive 5 means 5 ms here; write 5s for seconds",
  );
  for (const mtu of ["67", "65536", "1k"]) {
    const refused = parseOvpn(["-i", "10.0.0.1", "-m", "255.0.0.0", "--mtu", mtu]);
    assertEquals(
      refused.kind === "exit" && refused.out.split("\n")[0],
      `Invalid MTU: ${mtu} (from 68 to 65535).`,
    );
  }
  const silent = parseOvpn(["-C"]);
  assertEquals(silent, { kind: "exit", code: 1, out: "" });
});

Deno.test("parseOperf() names the nearest test", () => {
  const got = parseOperf(["-n", "srv", "-t", "revers"]);
  assertEquals(
    got.kind === "exit" && got.err,
    `"revers" is no test (uni, bi, report, reverse), did you mean "reverse"?`,
  );
});

Deno.test("the tools take any words without throwing", () => {
  const word = fc.oneof(
    fc.constantFrom("-n", "-l", "-d", "-r", "-s", "-i", "-m", "-t", "--", "--help", "-fq", "--ip="),
    fc.string({ maxLength: 12 }),
  );
  fc.assert(fc.property(fc.array(word, { maxLength: 8 }), (args) => {
    for (const parse of [parseOperf, parseOcbr, parseOvpn]) {
      const got = parse(args);
      if (got.kind === "exit") assertEquals(got.code === 0 || got.code === 1, true);
    }
  }));
});
