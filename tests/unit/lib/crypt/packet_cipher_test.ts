// deno-lint-ignore-file camelcase -- the vectors have these names
/**
 * Packet protection against the vectors of spec 30 §10, through both implementations, and the epoch
 * rule under loss. The records of spec 40 are walked in tests/unit/security/oap_vectors_test.ts.
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { backend, type BackendName } from "../../../../lib/crypt/backend.ts";
import { EpochRule, KeySchedule } from "../../../../lib/crypt/epoch.ts";
import {
  cipherBackend,
  PacketCipher,
  type PacketCipherOptions,
} from "../../../../lib/crypt/mod.ts";
import { EvpCipher, libcryptoVersion } from "../../../../lib/sys/libcrypto.ts";
import { CIPHERS } from "../../../../lib/wire/oap_ids.ts";

interface Packet {
  n: number;
  plain: string;
  packet: string;
  from?: "A" | "B";
  lost?: boolean;
  peer_decrypts?: boolean;
  reference_decrypts?: boolean;
}
interface Case {
  name: string;
  quirk?: boolean;
  input: { nid: number; rot_bit?: number; key: string; salt?: string; packet?: string };
  packets?: Packet[];
  result?: { result: number; plain?: string };
  keys?: string[];
}

const file = JSON.parse(
  Deno.readTextFileSync(new URL("../../../vectors/flowlib.json", import.meta.url)),
) as { cases: Case[] };
const cases = file.cases.filter((c) => /^(crypt|keyschedule)\//.test(c.name));

const BACKENDS: BackendName[] = libcryptoVersion() ? ["libcrypto", "node:crypto"] : ["node:crypto"];
const bytes = (hex: string) => Uint8Array.fromHex(hex);

function make(nid: number, key: Uint8Array, o: PacketCipherOptions = {}): PacketCipher {
  const c = PacketCipher.create(nid, key, o);
  if (typeof c === "number") throw new Error(`create: ${c}`);
  return c;
}

function seal(c: PacketCipher, plain: Uint8Array): Uint8Array {
  const out = new Uint8Array(plain.length + c.headroom + c.tailroom);
  assertEquals(c.encryptInto(plain, 0, plain.length, out, 0), out.length);
  return out;
}

function open(c: PacketCipher, packet: Uint8Array): Uint8Array | number {
  const out = new Uint8Array(packet.length);
  const n = c.decryptInto(packet, 0, packet.length, out, 0);
  return n < 0 ? n : out.slice(0, n);
}

/** The IVs of the packets as a random source, so that encryption gives the vector's bytes. */
function ivsOf(packets: string[], ivBytes: number): (into: Uint8Array) => void {
  return (into) => {
    for (const [i, p] of packets.entries()) into.set(bytes(p).subarray(0, ivBytes), i * ivBytes);
  };
}

function walk(c: Case, backend: BackendName): void {
  const key = bytes(c.input.key);
  if (c.name.startsWith("keyschedule/")) {
    const schedule = new KeySchedule(key);
    for (const [epoch, expected] of c.keys!.entries()) {
      assertEquals(schedule.key(epoch)!.toHex(), expected);
    }
  } else if (c.result && c.input.packet !== undefined) {
    using cipher = make(c.input.nid, key, { backend });
    const got = open(cipher, bytes(c.input.packet));
    if (c.result.result < 0) assertEquals(got, c.result.result);
    else assertEquals((got as Uint8Array).toHex(), c.result.plain);
  } else if (c.packets && c.packets[0]!.from) {
    // Two ends of the reference: we stand in for each of them and must read all it could read.
    using a = make(c.input.nid, key, { rotationBit: c.input.rot_bit!, backend });
    using b = make(c.input.nid, key, { rotationBit: c.input.rot_bit!, backend });
    for (const p of c.packets) {
      const [sender, receiver] = p.from === "A" ? [a, b] : [b, a];
      seal(sender, bytes(p.plain)); // Ours counts what it would have sent.
      if (p.lost) continue;
      const got = open(receiver, bytes(p.packet));
      if (p.reference_decrypts) assertEquals((got as Uint8Array).toHex(), p.plain, `n ${p.n}`);
    }
  } else if (c.packets) {
    const info = CIPHERS.find((i) => i.nid === c.input.nid)!;
    const count = c.packets.at(-1)!.n + 1;
    const ivs = new Array<string>(count).fill("00".repeat(info.ivBytes));
    for (const p of c.packets) ivs[p.n] = p.packet;
    const random = ivsOf(ivs, info.ivBytes);
    using tx = make(info.nid, key, { rotationBit: c.input.rot_bit!, backend, random });
    using rx = make(info.nid, key, { rotationBit: c.input.rot_bit!, backend });
    const byN = new Map(c.packets.map((p) => [p.n, p]));
    for (let n = 0; n < count; n++) {
      const p = byN.get(n);
      const sent = seal(tx, bytes(p?.plain ?? "00"));
      if (p) assertEquals(sent.toHex(), p.packet, `packet ${n}`);
      const got = open(rx, sent);
      if (p?.peer_decrypts) assertEquals((got as Uint8Array).toHex(), p.plain, `packet ${n}`);
    }
  } else {
    throw new Error(`no rule for ${c.name}`);
  }
}

for (const c of cases) {
  for (const backend of BACKENDS) {
    Deno.test(`vector ${c.name} (${backend})`, () => walk(c, backend));
  }
}

Deno.test("vectors: there are cases of packets or of the key schedule", () => {
  assert(cases.some((c) => /^(crypt|keyschedule)\//.test(c.name)));
});

Deno.test("PacketCipher.create() refuses unknown ciphers and keys of another length", () => {
  assertEquals(PacketCipher.create(900, new Uint8Array(32)), -12);
  assertEquals(PacketCipher.create(0, new Uint8Array(32)), -12);
  assertEquals(PacketCipher.create(901, new Uint8Array(31)), -22);
});

Deno.test("cipherBackend() names what is used", () => {
  assert(cipherBackend().startsWith(backend()));
});

for (const info of CIPHERS) {
  for (const backend of BACKENDS) {
    Deno.test(`${info.word} (${backend}): both ends, in place, empty, too short`, () => {
      const live = EvpCipher.live;
      {
        const key = crypto.getRandomValues(new Uint8Array(32));
        using a = make(info.nid, key, { backend });
        using b = make(info.nid, key, { backend });
        assertEquals([a.headroom, a.tailroom], [info.ivBytes, info.tagBytes]);
        for (const len of [0, 1, 15, 16, 17, 63, 1400, 4000]) {
          const plain = crypto.getRandomValues(new Uint8Array(len));
          // As the library does it: payload in a block with head room, encrypted where it is.
          const block = new Uint8Array(16 + len + 16).fill(0xa5);
          block.set(plain, 16);
          const n = a.encryptInto(block, 16, len, block, 16 - info.ivBytes);
          assertEquals(n, info.ivBytes + len + info.tagBytes);
          if (len > 8) assertNotEquals(block.subarray(16, 16 + len), plain);
          const end = 16 + len + info.tagBytes;
          assertEquals(block.subarray(end), new Uint8Array(block.length - end).fill(0xa5));
          // Decrypted where it is, too.
          assertEquals(b.decryptInto(block, 16 - info.ivBytes, n, block, 16), len);
          assertEquals(block.subarray(16, 16 + len), plain);
        }
        const short = new Uint8Array(info.ivBytes + info.tagBytes - 1);
        assertEquals(open(b, short), -1008);
        assertEquals(a.encryptInto(short, 0, 8, short, 0), -90, "no room");
      }
      assertEquals(EvpCipher.live, live);
    });
  }
}

Deno.test("decryptInto() leaves no unauthenticated bytes behind", () => {
  using a = make(901, new Uint8Array(32).fill(7));
  const packet = seal(a, new Uint8Array(100).fill(1));
  packet[20]! ^= 1;
  const out = new Uint8Array(100).fill(0xa5);
  assertEquals(a.decryptInto(packet, 0, packet.length, out, 0), -1008);
  assertEquals(out, new Uint8Array(100));
});

Deno.test("forged packets move neither epoch nor counters (spec 40 §18.18)", () => {
  const key = new Uint8Array(32).fill(7);
  using a = make(901, key, { rotationBit: 3 });
  using b = make(901, key, { rotationBit: 3 });
  for (let i = 0; i < 7; i++) assert(typeof open(b, seal(a, new Uint8Array(8))) !== "number");
  for (let i = 0; i < 100; i++) {
    const forged = crypto.getRandomValues(new Uint8Array(40));
    forged[0]! |= 0x80;
    assertEquals(open(b, forged), -1008);
  }
  assertEquals(b.epoch, 0);
  for (let i = 0; i < 30; i++) assert(typeof open(b, seal(a, new Uint8Array(8))) !== "number");
});

/** Numbers in [0, 1) that are the same in every run. */
function seeded(seed: number): () => number {
  return () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
}

/** Which end sends the packets of a flow, and how many of each direction are lost. */
const TRAFFIC: Record<
  string,
  { turn: (i: number, random: number) => boolean; lost: [number, number] }
> = {
  "20 % of both ways": { turn: (_, r) => r < 0.5, lost: [0.2, 0.2] },
  "half of both ways": { turn: (_, r) => r < 0.5, lost: [0.5, 0.5] },
  "half of one way, all one way": { turn: () => true, lost: [0.5, 0] },
  "half of one way, few the other": { turn: (_, r) => r < 0.98, lost: [0.5, 0] },
  "half of one way, in bursts": { turn: (i) => i % 60 < 30, lost: [0.5, 0] },
  "half of the answers": { turn: (i) => i % 2 === 0, lost: [0, 0.5] },
};

for (const word of ["aes-256-gcm", "chacha20-poly1305", "aes-256-ctr"]) {
  for (const [says, { turn, lost }] of Object.entries(TRAFFIC)) {
    Deno.test(`${word}: keys rotate, and every packet that arrives is read: lost ${says}`, () => {
      const { nid } = CIPHERS.find((c) => c.word === word)!;
      const random = seeded(12345);
      const key = new Uint8Array(32).fill(9);
      using a = make(nid, key, { rotationBit: 6 });
      using b = make(nid, key, { rotationBit: 6 });
      for (let i = 0; i < 4000; i++) {
        const forth = turn(i, random());
        const plain = new Uint8Array(8).fill(i);
        const p = seal(forth ? a : b, plain);
        if (random() < lost[forth ? 0 : 1]) continue;
        assertEquals(
          open(forth ? b : a, p),
          plain,
          `packet ${i}, epochs ${a.epoch} and ${b.epoch}`,
        );
      }
      assert(a.epoch > 30 && Math.abs(a.epoch - b.epoch) <= 1, `${a.epoch} and ${b.epoch}`);
    });
  }
}

Deno.test("an end waits for a peer that cannot hear it, and reads all of its packets", () => {
  const key = new Uint8Array(32).fill(9);
  using a = make(901, key, { rotationBit: 4 });
  using b = make(901, key, { rotationBit: 4 });
  for (let i = 0; i < 1000; i++) {
    for (let n = 0; n < 9; n++) seal(a, new Uint8Array(1));
    assertEquals(open(a, seal(b, new Uint8Array(2))), new Uint8Array(2), `packet ${i}`);
  }
  assert(b.epoch > 50, `${b.epoch}`);
  assertEquals(open(b, seal(a, new Uint8Array(3))), new Uint8Array(3));
});

Deno.test("… but not for more than 1024 epochs' worth of packets", () => {
  const rule = new EpochRule(2, 1);
  rule.received(0);
  for (let i = 0; i < 4095; i++) rule.sent();
  assertEquals(rule.epoch, 1);
  rule.sent();
  assertEquals(rule.epoch, 2);
});

Deno.test("who sent alone through an outage is read again within 64 packets", () => {
  const key = new Uint8Array(32).fill(9);
  for (const epochs of [1, 2, 3, 17, 65]) {
    using a = make(901, key, { rotationBit: 7 });
    using b = make(901, key, { rotationBit: 7 });
    open(b, seal(a, new Uint8Array(1)));
    while (a.epoch < epochs) seal(a, new Uint8Array(1));
    let unread = 0;
    while (typeof open(b, seal(a, new Uint8Array(1))) === "number") assert(++unread < 64);
    assertEquals(b.epoch, a.epoch);
    assertEquals(open(a, seal(b, new Uint8Array(1))), new Uint8Array(1));
  }
});

Deno.test("forged packets make nobody hold more than a few keys", () => {
  using a = make(901, new Uint8Array(32).fill(7));
  const forged = () => open(a, crypto.getRandomValues(new Uint8Array(40)));
  forged();
  const live = EvpCipher.live;
  for (let i = 0; i < 200; i++) assertEquals(forged(), -1008);
  assertEquals(EvpCipher.live, live);
});

Deno.test("a packet of the epoch before is still read, one of two before is not", () => {
  const key = new Uint8Array(32).fill(9);
  using a = make(901, key, { rotationBit: 2 });
  using b = make(901, key, { rotationBit: 2 });
  const early = seal(a, new Uint8Array(3));
  const early2 = seal(a, new Uint8Array(3));
  for (let i = 0; i < 4; i++) open(b, seal(a, new Uint8Array(1)));
  assertEquals(b.epoch, 1);
  assertEquals(open(b, early), new Uint8Array(3));
  for (let i = 0; i < 8; i++) open(b, seal(a, new Uint8Array(1)));
  assert(b.epoch >= 2);
  assertEquals(open(b, early2), -1008);
});

Deno.test("EpochRule.epochOfUntagged() follows the phase: back early in an epoch, on later", () => {
  const rule = new EpochRule(4, 2);
  for (let i = 0; i < 3; i++) rule.received(2);
  assertEquals(rule.epochOfUntagged(1), 1);
  rule.received(2);
  assertEquals(rule.epochOfUntagged(1), 3);
  assertEquals(rule.epochOfUntagged(0), 2);
  assertEquals(rule.epoch, 2, "asking does not move it");
  assertEquals(new EpochRule(4).epochOfUntagged(1), 0, "there is none before the first");
});

Deno.test("KeySchedule.forgetBelow() wipes old keys and can still derive new ones", () => {
  const s = new KeySchedule(new Uint8Array(32).fill(1));
  const k0 = s.key(0)!;
  const k5 = new KeySchedule(new Uint8Array(32).fill(1)).key(5)!;
  s.forgetBelow(3);
  assertEquals(k0, new Uint8Array(32));
  assertEquals(s.key(2), undefined);
  assertEquals(s.key(5), k5);
});

Deno.test("fromState() goes on where takeState() stopped, whatever the epoch", () => {
  const key = new Uint8Array(32).fill(9);
  for (const packets of [0, 3, 4, 9]) {
    using a = make(901, key, { rotationBit: 2 });
    using b = make(901, key, { rotationBit: 2 });
    for (let i = 0; i < packets; i++) open(b, seal(a, new Uint8Array(1)));
    const epoch = b.epoch;
    const state = b.takeState();
    const moved = PacketCipher.fromState(state, { rotationBit: 2 });
    if (typeof moved === "number") throw new Error(`fromState: ${moved}`);
    assertEquals(moved.epoch, epoch);
    for (let i = 0; i < 20; i++) {
      assertEquals(open(moved, seal(a, new Uint8Array(7))), new Uint8Array(7));
      assertEquals(open(a, seal(moved, new Uint8Array(7))), new Uint8Array(7));
    }
    moved.wipe();
  }
});

Deno.test("fromState() refuses bytes that are no state", () => {
  using a = make(901, new Uint8Array(32).fill(9));
  const state = a.takeState();
  for (let n = 0; n < state.length; n++) {
    assert(typeof PacketCipher.fromState(state.slice(0, n)) === "number", `${n} bytes`);
  }
  assert(typeof PacketCipher.fromState(new Uint8Array(80).fill(255)) === "number");
});
