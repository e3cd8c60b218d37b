/**
 * What is proved here: words that make no sense to the programs as a user types them: unknown, missing, too long, pids
 * of nobody. Each ends by itself with the exit code and one line of reason at most, and never with a stack trace. That bytes
 * which are not UTF-8 are refused is in oping_test.ts; what the IRMd answers to such messages in irmd_abuse_test.ts.
 */

import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { STACK_TRACE } from "../support/faults.ts";
import { TestNode } from "../support/node.ts";

/** One byte more than a name may have. */
const LONG = "n".repeat(256);
/** One byte more than leaves room for the sockets below it. */
const DEEP = "/tmp/".padEnd(86, "p");
const NET = ["-i", "10.1.1.1", "-m", "255.255.255.0"];

/** Words, exit code (the prototype's), and what is said on stdout or stderr. */
const CASES: [words: string[], code: number, said: RegExp][] = [
  // Names of 256 bytes.
  [["irm", "name", "create", LONG], 1, /Name too long/],
  [["irm", "name", "destroy", LONG], 1, /-22: name is 256 bytes long, at most 255/],
  [["irm", "bind", "program", "/bin/true", "name", LONG], 1, /256 bytes long, at most 255/],
  [["irm", "name", "register", LONG, "layer", "x"], 1, /Name too long/],
  [["irm", "ipcp", "create", "type", "local", "name", LONG], 1, /256 bytes, at most 255/],
  [["irm", "ipcp", "bootstrap", "type", "local", "name", "l", "layer", LONG], 1, /name too long/],
  [["oping", "-n", LONG, "-c", "1"], 1, /-22: .*256 bytes.*at most 255/],
  [["operf", "-n", LONG], 1, /-22: .*256 bytes.*at most 255/],
  [["ocbr", "-n", LONG], 255, /-22: .*256 bytes.*at most 255/],
  [["obc", "-n", LONG], 255, /-22: .*256 bytes.*at most 255/],
  [["ovpn", "-n", LONG, ...NET], 1, /-22: .*256 bytes.*at most 255/],
  // A prefix below which no socket could be bound.
  [["irm", "--prefix", DEEP, "name", "list"], 1, /prefix has 86 bytes, at most 85/],
  [["irmd", "--stdout", "--prefix", DEEP], 1, /prefix has 86 bytes, at most 85/],
  // Pids of nobody, and no pids.
  [["irm", "bind", "process", "4000000", "name", "good"], 1, /"4000000" is not a valid process/],
  [["irm", "bind", "process", "0", "name", "good"], 1, /"0" is not a valid process id/],
  [["irm", "bind", "process", "-1", "name", "good"], 1, /"-1" is not a valid process id/],
  [["irm", "bind", "process", "12x", "name", "good"], 1, /"12x" is not a valid process id/],
  [["irm", "bind", "process", "1", "name", "good"], 1, /process 1 /],
  [["irm", "unbind", "process", "4000000", "name", "good"], 1, /process 4000000 is no Ouroboros/],
  [["irm", "ipcp", "destroy", "name", "nosuch"], 1, /"nosuch": there is no IPCP of that name/],
  // Missing values.
  [["irm", "name", "create"], 1, /no name given/],
  [["irm", "bind", "program"], 1, /no value after "program"/],
  [["irm", "bind", "process", "1"], 1, /no name given/],
  [["irm", "ipcp", "bootstrap", "type", "local", "name", "l"], 1, /no layer given/],
  [["oping", "-n"], 1, /Option -n needs a value/],
  [["oping", "-n", "good", "-c"], 1, /Option -c needs a value/],
  [["operf", "-n"], 1, /needs a value/],
  [["ocbr", "-n"], 1, /needs a value/],
  [["obc"], 1, /Please specify a name/],
  // Unknown words.
  [["bogus"], 2, /"bogus" is not a command/],
  [["opign"], 2, /"opign" is not a command.*, did you mean "oping"\?/],
  [["pki", "inti"], 2, /"inti" is not a command, did you mean "init"\?/],
  [["pki", "init", "--dasy", "9"], 2, /Unknown option: --dasy, did you mean "--days"\?/],
  [["pki", "init", "--key", "ed2551"], 2, /did you mean "ed25519"\?/],
  [["irmd", "--stduot"], 1, /unknown word "--stduot", did you mean "--stdout"\?/],
  [["irm", "bogus", "x"], 1, /"bogus" is unknown/],
  [["irm", "name", "bogus"], 1, /"bogus" is unknown/],
  [["irm", "bind", "program", "/no/such/file", "name", "good"], 1, /does not exist/],
  [["oping", "--bogus"], 1, /Unknown option: --bogus/],
  [["oecho", "--bogus"], 1, /Unknown option: --bogus/],
  [["ovpn", "--bogus"], 1, /unrecognized option '--bogus'/],
  [["oping", "-n", "nowhere", "-q", "bogus"], 1, /"bogus" is no QoS/],
];

Deno.test("words that make no sense end every program with one line of reason", async (t) => {
  await using node = await TestNode.start();
  await node.must("irm", "name", "create", "good");
  for (const [words, code, said] of CASES) {
    await t.step(words.join(" ").replaceAll(LONG, "<256 bytes>"), async () => {
      const result = await node.run(words);
      assertEquals(result.code, code, result.out + result.err);
      assertMatch(result.out + result.err, said);
      assertNotMatch(result.out + result.err, STACK_TRACE);
      assert(result.err.trimEnd().split("\n").length <= 1, result.err);
    });
  }
  // The daemon has seen some of them, and nothing has come of it.
  assertEquals(JSON.parse(await node.must("irm", "name", "list", "--json")).length, 1);
  assertEquals(JSON.parse(await node.must("irm", "ipcp", "list", "--json")), []);
  assertNotMatch(node.irmd!.out + node.irmd!.err, STACK_TRACE);
});
