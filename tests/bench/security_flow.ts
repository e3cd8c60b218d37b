// deno-lint-ignore-file no-console -- a program, which prints
/**
 * Encrypted direct flows beside plain ones of the same run, with a real IRMd and busy processes:
 * round trip of 64 B, one-way rate of 1400 B, time of an allocation with authentication.
 *
 *     deno run -A tests/bench/security_flow.ts
 */

import { TestNode } from "../support/node.ts";
import { script } from "../support/process.ts";

function peer(...words: string[]): string[] {
  return script("tests/bench/security_flow_peer.ts", ...words);
}

await using node = await TestNode.start();
await node.must("pki", "init");
const names: [string, string[]][] = [
  ["plain", []],
  ["enc", ["--kex", "X25519", "--cipher", "aes-256-gcm"]],
  ["pq", ["--kex", "X25519MLKEM768", "--key", "ml-dsa-65"]],
];
const server = node.spawnArgv(peer("serve"));
await server.waitForLine(/ready/);
for (const [name, words] of names) {
  await node.must("irm", "name", "create", name);
  await node.must("irm", "bind", "process", String(server.pid), "name", name);
  if (words.length === 0) continue;
  await node.must("pki", "server", name, ...words);
  await node.must("pki", "client", name, "--as", "bench", ...words);
}

async function measure(...words: string[]): Promise<number> {
  const r = await node.spawnArgv(peer(...words)).wait(60_000);
  const value = Number(r.out.trim());
  if (!(value > 0)) {
    throw new Error(`${words.join(" ")}: ${r.out}${r.err}${node.irmd!.out.slice(-1500)}`);
  }
  return value;
}

/** The best of some runs, plain and encrypted in turn so that both see the same machine. */
async function both(
  role: string,
  bytes: string,
  count: string,
  better: (a: number, b: number) => number,
) {
  let plain = await measure(role, "plain", bytes, count);
  let enc = await measure(role, "enc", bytes, count);
  for (let i = 0; i < 2; i++) {
    plain = better(plain, await measure(role, "plain", bytes, count));
    enc = better(enc, await measure(role, "enc", bytes, count));
  }
  return { plain, enc };
}

const rtt = await both("rtt", "64", "20000", Math.min);
const us = (ns: number) => (ns / 1000).toFixed(2);
console.log(`round trip 64 B plain        ${us(rtt.plain)} us`);
console.log(
  `round trip 64 B aes-256-gcm  ${us(rtt.enc)} us, ${
    us(rtt.enc - rtt.plain)
  } us above plain (limit: 2.5)`,
);
const rate = await both("flood", "1400", "100000", Math.max);
console.log(`one way 1400 B plain         ${rate.plain.toFixed(2)} Gbit/s`);
console.log(`one way 1400 B aes-256-gcm   ${rate.enc.toFixed(2)} Gbit/s (limit: 3)`);
const limits: Record<string, string> = { enc: " (limit: 8)", pq: " (limit: 15)" };
for (const [name] of names) {
  const ms = await measure("alloc", name, "60");
  console.log(`allocation, median, ${name.padEnd(8)} ${ms.toFixed(2)} ms${limits[name] ?? ""}`);
}
