/** Command lines of oping beyond the vectors. */

import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { type ClientOptions, parseOptions, type ServerOptions } from "../../../oping/options.ts";
import { header, PingRun } from "../../../oping/run.ts";
import { MORE, USAGE } from "../../../oping/usage.ts";

function client(...words: string[]): ClientOptions {
  const options = parseOptions(["-n", "srv", ...words]);
  if (options.kind !== "client") throw new Error(JSON.stringify(options));
  return options;
}

function server(...words: string[]): ServerOptions {
  const options = parseOptions(["-l", ...words]);
  if (options.kind !== "server") throw new Error(JSON.stringify(options));
  return options;
}

Deno.test("parseOptions() takes joined words: --count=5, -c5, -fQ, -Qn", () => {
  assertEquals(client("--count=5").count, 5);
  assertEquals(client("-c5").count, 5);
  const bundled = client("-fQ");
  assertEquals([bundled.mode, bundled.quiet], ["flood", true]);
  const name = parseOptions(["-Qn", "other"]);
  assertEquals(name.kind === "client" && name.name, "other");
});

Deno.test("parseOptions() takes a value as it is, even if it looks like an option", () => {
  const options = parseOptions(["-n", "-f"]);
  assertEquals(options.kind === "client" && [options.name, options.mode], ["-f", "normal"]);
});

Deno.test("parseOptions() prints the usage for a missing value and an unknown word, and says which", () => {
  const cases: Record<string, string> = {
    "-c": "Option -c needs a value",
    "--count": "Option --count needs a value",
    "-x": "Unknown option: -x",
    "-fx": "Unknown option: -fx",
    "--flood=1": "Option --flood takes no value",
  };
  for (const [word, reason] of Object.entries(cases)) {
    const expected = { kind: "exit", code: 1, text: USAGE, reason };
    assertEquals(parseOptions(["-n", "srv", word]), expected);
  }
});

Deno.test("parseOptions() lets the later option win", () => {
  const options = client("-c", "3", "-c", "4", "-s", "100", "-s", "200");
  assertEquals([options.count, options.size], [4, 200]);
});

Deno.test("parseOptions() keeps 63, 64, 1500 and 1501 bytes in their bounds", () => {
  assertEquals(client("-s", "63").size, 64);
  assertEquals(client("-s", "64").notes, []);
  assertEquals(client("-s", "1500").notes, []);
  assertEquals(client("-s", "1501").size, 1500);
  assertEquals(client("-s", "0").notes, ["Packet size set to 64 bytes."]);
});

Deno.test("parseOptions() cuts the interval at 10 s and takes parts of a ms", () => {
  assertEquals(client("-i", "10s").notes, []);
  assertEquals(client("-i", "10001").intervalMs, 10_000);
  assertEquals(client("-i", "500us").intervalMs, 0.5);
});

Deno.test("parseOptions() gives a flood a duration instead of a count", () => {
  const timed = client("-f", "-d", "2s");
  assertEquals([timed.durationMs, timed.count], [2000, 2147483647]);
  assertEquals(header(timed), "Pinging srv with 64 bytes of data (2s):\n\n");
  const both = client("-F", "-d", "2s", "-c", "9");
  assertEquals(header(both), "Pinging srv with 64 bytes of data (9 packets, busy-poll):\n\n");
});

Deno.test("parseOptions() wants percentiles above 0 up to 100", () => {
  assertEquals(client("--percentiles", "50,99.99").percentiles, [50, 99.99]);
  assertEquals(client("--stats").percentiles, [50, 90, 99, 99.9]);
  for (const list of ["0", "101", "x", "", "50,", "0x32", "5e1", "+5", "50,0x5f", "1_0"]) {
    assertEquals(parseOptions(["-n", "srv", "--percentiles", list]).kind, "exit", list);
  }
});

Deno.test("parseOptions() refuses a time of 0 for our own options", () => {
  for (const option of ["--timeout", "--deadline", "--report", "--idle"]) {
    for (const zero of ["0", "0s", "0.0ms"]) {
      const got = parseOptions(["-n", "srv", option, zero]);
      assertMatch(got.kind === "exit" ? got.reason ?? "" : "", /takes a time above 0/, option);
    }
  }
});

Deno.test("parseOptions() of a server ignores what is the client's, but checks it", () => {
  assertEquals(server("-s", "9999", "-c", "3").notes, []);
  assertEquals(parseOptions(["-l", "-q", "bogus"]).kind, "exit");
  assertEquals(parseOptions(["-l", "-i", "5x"]).kind, "exit");
  assertEquals(server("--busy", "--poll").mode, "busy");
  assertEquals(server("--once", "--max-flows", "3", "--idle", "2s").idleMs, 2000);
});

Deno.test("parseOptions() refuses numbers and words that are not whole, and says which", () => {
  const cases: readonly (readonly [string, string])[] = [
    ...["0x3", "3x", "abc", "1e3", "-1", "", " 3", "+3", "99999999999", "3.5"]
      .map((n) => ["-c", n] as const),
    ...["-5", "", "x"].map((n) => ["-i", n] as const),
    ...["-3", "1e3", "9".repeat(20)].map((n) => ["-d", n] as const),
    ...["64x", "-1", "0x40"].map((n) => ["-s", n] as const),
    ...["gold", "constructor", "raw_no_errors", ""].map((n) => ["-q", n] as const),
  ];
  for (const [option, value] of cases) {
    const options = parseOptions(["-n", "srv", option, value]);
    assertEquals(options.kind === "exit" && options.code, 1, `${option} ${value}`);
  }
  const gold = parseOptions(["-n", "srv", "-q", "vidoe"]);
  assertEquals(
    gold.kind === "exit" && gold.reason,
    '"vidoe" is no QoS (raw, best, video, voice, data), did you mean "video"?',
  );
});

Deno.test("--help exits with 0, --help-all shows our options too", () => {
  assertEquals(parseOptions(["--help"]), { kind: "exit", code: 0, text: USAGE });
  assertEquals(parseOptions(["--help-all"]), { kind: "exit", code: 0, text: USAGE + MORE });
});

Deno.test("parseOptions() takes any words without throwing", () => {
  const word = fc.oneof(
    fc.constantFrom("-n", "-l", "-c", "-d", "-i", "-s", "-q", "--json", "-fQ", "--", "-"),
    fc.string({ maxLength: 12 }),
  );
  fc.assert(fc.property(fc.array(word, { maxLength: 8 }), (args) => {
    const options = parseOptions(args);
    if (options.kind === "client") {
      new PingRun(options);
      assertEquals(options.size >= 64 && options.size <= 1500, true);
      assertEquals(options.count >= 0 && options.count <= 0xffffffff, true);
    }
  }));
});

Deno.test("parseOptions() takes names without -n, one or several, each once", () => {
  const one = parseOptions(["srv", "-c", "3"]);
  assertEquals(one.kind === "client" && [one.name, one.count], ["srv", 3]);
  assertEquals(parseOptions(["a", "-c3", "b", "-Q", "-n", "c", "a", "--", "-d"]), {
    kind: "several",
    names: ["c", "a", "b", "-d"],
    words: ["-c", "3", "-Q"],
  });
  const bad = parseOptions(["a", "b", "-c", "x"]);
  assertEquals(bad.kind, "exit");
  assertEquals(parseOptions(["-l", "srv"]).kind, "exit");
  const empty = parseOptions(["a", ""]);
  assertEquals(empty.kind === "exit" && empty.text, `No server specified.\n${USAGE}`);
});
