// deno-lint-ignore-file no-console -- a program, which prints
/**
 * What security costs, each number beside its baseline of the same run: packet ciphers beside a copy,
 * OAP with authentication and key exchange beside the plain one, the replay cache small and full.
 *
 *     deno run -A tests/bench/security.ts [--json]
 *
 * Limits of issue and specification are printed beside the numbers; nothing is asserted on time.
 */

import { backend, type BackendName } from "../../lib/crypt/backend.ts";
import { cipherBackend, PacketCipher } from "../../lib/crypt/mod.ts";
import { CIPHERS } from "../../lib/wire/oap_ids.ts";
import { init, leaf } from "../../pki/make.ts";
import { isOapFailure } from "../../security/oap/mod.ts";
import { ReplayCache } from "../../security/oap/replay_cache.ts";
import { DEFAULTS, KeptLog, pkiOptions, SecDir } from "../support/security_dir.ts";

interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly limit?: string;
}

const rows: Row[] = [];

function row(what: string, value: number, unit: string, limit?: string): void {
  rows.push(limit === undefined ? { what, value, unit } : { what, value, unit, limit });
}

/** Best of some rounds, ns a call: the machine's other work only adds. */
function nsPerCall(calls: number, f: () => void, rounds = 5): number {
  let best = Infinity;
  for (let r = 0; r < rounds; r++) {
    const start = performance.now();
    for (let i = 0; i < calls; i++) f();
    best = Math.min(best, ((performance.now() - start) * 1e6) / calls);
  }
  return best;
}

function ciphers(which: BackendName, calls: number): void {
  for (const len of [64, 1400]) {
    const plain = new Uint8Array(2048);
    const wire = new Uint8Array(4096);
    const back = new Uint8Array(4096);
    const copy = nsPerCall(calls, () => {
      wire.set(plain.subarray(0, len), 64);
      back.set(wire.subarray(64, 64 + len));
    });
    row(`${which} none ${len} B, both ends`, copy, "ns");
    for (const info of CIPHERS) {
      const key = new Uint8Array(32);
      const tx = PacketCipher.create(info.nid, key, { backend: which }) as PacketCipher;
      const rx = PacketCipher.create(info.nid, key, { backend: which }) as PacketCipher;
      const ns = nsPerCall(calls, () => {
        const n = tx.encryptInto(plain, 0, len, wire, 64);
        rx.decryptInto(wire, 64, n, back, 0);
      });
      row(`${which} ${info.word} ${len} B, both ends`, ns, "ns");
      row(`${which} ${info.word} ${len} B`, (len * 8) / ns, "Gbit/s");
      tx.wipe();
      rx.wipe();
    }
  }
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

/** Both halves of OAP in one thread, as for a direct flow. */
async function allocations(sec: SecDir, n: number): Promise<number> {
  const log = new KeptLog();
  const service = sec.service(log);
  const times: number[] = [];
  for (let i = 0; i < n + 20; i++) {
    log.lines.length = 0;
    const start = performance.now();
    const session = await service.prepare(DEFAULTS, "svc");
    if (isOapFailure(session)) throw new Error(session.reason);
    const accepted = await service.serve(DEFAULTS, "svc", session.request);
    if (isOapFailure(accepted)) throw new Error(accepted.reason);
    const completed = await session.complete(accepted.response);
    if (isOapFailure(completed)) throw new Error(completed.reason);
    if (i >= 20) times.push(performance.now() - start);
  }
  return median(times);
}

async function oap(): Promise<void> {
  {
    using sec = new SecDir();
    row("OAP plain, median", await allocations(sec, 2000) * 1000, "us", "100 each side");
  }
  const kinds: [string, string, string][] = [
    ["p256", "X25519", "8 ms with the flow"],
    ["ml-dsa-65", "X25519MLKEM768", "15 ms with the flow"],
    ["p384", "secp384r1", ""],
    ["rsa2048", "ffdhe2048", ""],
  ];
  for (const [keyType, kex, limit] of kinds) {
    using sec = new SecDir();
    const o = pkiOptions(sec.dir, { keyType, encrypt: true, kex });
    await init(o);
    await leaf(o, "server", "svc", "svc");
    await leaf(o, "client", "svc", "alice");
    const ms = await allocations(sec, 100);
    row(`OAP mutual ${keyType} + ${kex}, median`, ms, "ms", limit || undefined);
  }
}

function replay(): void {
  const now = 1_780_000_000_000_000_000n;
  const cache = new ReplayCache(1_000_000);
  const id = new Uint8Array(16);
  const view = new DataView(id.buffer);
  let n = 0;
  const add = () => {
    view.setUint32(0, n++);
    cache.has(id, now);
    cache.add(id, now, now);
  };
  row("replay cache, a request when small", nsPerCall(1000, add, 3), "ns");
  while (cache.size < 950_000) add();
  row("replay cache, a request at 1M entries", nsPerCall(10_000, add, 3), "ns", "O(1)");
}

ciphers(backend(), 100_000);
if (backend() === "libcrypto") ciphers("node:crypto", 3000);
await oap();
replay();

if (Deno.args.includes("--json")) {
  console.log(JSON.stringify({ backend: cipherBackend(), rows }, null, 2));
} else {
  console.log(`packet ciphers through ${cipherBackend()}`);
  for (const r of rows) {
    const value = r.value.toFixed(r.value < 100 ? 2 : 0).padStart(10);
    console.log(`${r.what.padEnd(52)} ${value} ${r.unit}${r.limit ? `  (limit: ${r.limit})` : ""}`);
  }
}
