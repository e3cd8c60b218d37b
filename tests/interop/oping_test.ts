/**
 * oping of both makes with each other, raw flows, on the IRMd of the prototype and on ours, in every
 * mode of client and server: nothing is lost and each side prints what the prototype prints. Flows of
 * other qualities: frct_test.ts. Needs OURO_PROTOTYPE and root.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ouro } from "../support/node.ts";
import type { RunningProcess } from "../support/process.ts";
import { bindProcess, canRunPrototype, CHost } from "./c_host.ts";

const ignore = !canRunPrototype;

/** The two makes of oping; the prototype does not flush its lines by itself. */
const MAKES = {
  c: (...words: string[]) => ["stdbuf", "-oL", "oping", ...words],
  ours: (...words: string[]) => ouro("oping", ...words),
} as const;

type Make = keyof typeof MAKES;

const PAIRS: readonly (readonly [Make, Make])[] = [["ours", "c"], ["c", "ours"]];

const CLIENT_MODES: Readonly<Record<string, readonly string[]>> = {
  normal: ["-c", "5", "-i", "20"],
  "time of day, 1500 bytes": ["-c", "3", "-i", "20", "-D", "-s", "1500"],
  "no interval": ["-c", "50", "-i", "0"],
  duration: ["-d", "200ms", "-i", "50"],
  flood: ["-c", "300", "-f"],
  "busy flood": ["-c", "300", "-F"],
};

const SERVER_MODES: Readonly<Record<string, readonly string[]>> = {
  waiting: [],
  polling: ["--poll"],
  busy: ["--busy"],
};

/** A server of the name `op` on a host. */
async function serve(host: CHost, make: Make, words: readonly string[]): Promise<RunningProcess> {
  const server = host.spawn(MAKES[make]("-l", ...words));
  await bindProcess((...argv) => host.run(host.tool(...argv)), server.pid, "op");
  return server;
}

/** How many packets a client of these words sends. */
function countOf(words: readonly string[]): number {
  return words[0] === "-c" ? Number(words[1]) : 4;
}

for (const node of ["c", "ouro"] as const) {
  for (const [client, server] of PAIRS) {
    Deno.test({
      name: `oping on the IRMd of ${node}: client ${client}, server ${server}, every mode`,
      ignore,
      async fn(t) {
        await using host = await CHost.start({ node });
        await host.must("irm", "name", "create", "op");
        for (const [serverMode, serverWords] of Object.entries(SERVER_MODES)) {
          let listening: RunningProcess | undefined;
          for (const [clientMode, clientWords] of Object.entries(CLIENT_MODES)) {
            await t.step(`${clientMode} client, ${serverMode} server`, async () => {
              // A busy server ends with its flow.
              if (listening === undefined || serverMode === "busy") {
                await listening?.stop("SIGINT");
                listening = await serve(host, server, serverWords);
              }
              const words = MAKES[client]("-n", "op", ...clientWords);
              const got = await host.run(words);
              const count = countOf(clientWords);
              assertEquals([got.code, got.err], [0, ""]);
              assertStringIncludes(
                got.out,
                `\n${count} packets transmitted, ${count} received, 0 out-of-order, 0% packet loss, `,
              );
              assertEquals(got.out.match(/ bytes from op: seq=\d+ time=/g)?.length, count);
              if (clientWords.includes("-D")) {
                assertMatch(got.out, /\n\[\d+\.\d{6}\] 1500 bytes from/);
              }
              if (serverMode === "busy") {
                await listening.waitForLine(/^New flow 64 \(busy-poll\)\.\n/);
                return;
              }
              const size = clientWords.includes("1500") ? 1500 : 64;
              await listening.waitForLine(
                new RegExp(
                  `New flow \\d+\\.\\n(Received ${size} bytes on fd \\d+\\.\\n){${count}}`,
                ),
              );
            });
          }
          await listening?.stop("SIGINT");
        }
      },
    });

    Deno.test({
      name: `oping on the IRMd of ${node}: many clients of make ${client} at one server ${server}`,
      ignore,
      async fn() {
        await using host = await CHost.start({ node });
        await host.must("irm", "name", "create", "op");
        const listening = await serve(host, server, []);
        const words = MAKES[client]("-n", "op", "-c", "10", "-i", "30");
        const results = await Promise.all(
          Array.from({ length: 8 }, () => host.spawn(words).wait(60_000)),
        );
        // Clients of the prototype that start at once crash now and then, and its IRMd may give two requests
        // that arrive together the same flow (spec 20 §19.10).
        const both = client === "ours" && node === "ouro";
        const good = results.filter(({ code }) => both || code === 0);
        assert(
          good.length >= (node === "ouro" ? 4 : 1),
          results.map(({ out, err }) => out + err).join("\n"),
        );
        for (const got of good) {
          assertEquals(got.code, 0, got.out + got.err);
          assertStringIncludes(got.out, "10 packets transmitted, 10 received");
        }
        await listening.waitForLine(new RegExp(`(New flow \\d+\\.[^]*){${good.length}}`));
      },
    });

    Deno.test({
      name:
        `oping on the IRMd of ${node}: Ctrl-C at a client ${client}, server ${server} serves on`,
      ignore,
      async fn() {
        await using host = await CHost.start({ node });
        await host.must("irm", "name", "create", "op");
        await serve(host, server, ["-Q"]);
        const first = host.spawn(MAKES[client]("-n", "op", "-i", "50"));
        await first.waitForLine(/seq=3 /);
        first.kill("SIGINT");
        const result = await first.wait(20_000);
        assertEquals(result.code, 0);
        assertMatch(result.out, /\n--- op ping statistics ---\n\d+ packets transmitted/);
        const next = await host.run(MAKES[client]("-n", "op", "-c", "2", "-i", "20"));
        assertStringIncludes(next.out, "2 packets transmitted, 2 received");
      },
    });
  }

  Deno.test({
    name: `oping on the IRMd of ${node}: both makes say the same about a name nobody has`,
    ignore,
    async fn() {
      await using host = await CHost.start({ node });
      const texts = new Set<string>();
      for (const make of ["c", "ours"] as const) {
        const got = await host.run(MAKES[make]("-n", "nowhere"));
        assertEquals(got.code, 1);
        texts.add(got.out);
      }
      assertEquals([...texts], ["Failed to allocate flow: -1007.\n"]);
    },
  });
}
