// The vectors of dht.json, every case by its kind (spec 70 §15). Sends, contact lists and values are compared as sets;
// cookies by being echoed; expiries of our own STOREs by being within the layer's limit (ours are short, spec 70 §13.1).

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Contacts } from "../../../../ipcp/unicast/dht/contacts.ts";
import { Dht } from "../../../../ipcp/unicast/dht/dht.ts";
import * as dhtMsg from "../../../../lib/wire/dht_msg.ts";
import * as dtPci from "../../../../lib/wire/dt_pci.ts";
import { isWireError, WireError } from "../../../../lib/wire/mod.ts";

// deno-lint-ignore no-explicit-any -- the shape differs per kind
type Case = any;

const path = fromFileUrl(new URL("../../../vectors/dht.json", import.meta.url));
const cases: Case[] = JSON.parse(Deno.readTextFileSync(path)).cases;
const hex = (s: string) => Uint8Array.fromHex(s);
const T0 = 1_800_000_000;

function rawOf(m: Case): dhtMsg.RawDhtMsg {
  const contact = (c: Case) => ({ id: hex(c.id), addr: BigInt(c.addr) });
  const raw: dhtMsg.RawDhtMsg = { code: m.code, src: contact(m.src) };
  if (m.store !== undefined) {
    raw.store = { key: hex(m.store.key), val: hex(m.store.val), exp: m.store.exp };
  }
  const find = (f: Case) => ({ cookie: BigInt(f.cookie), key: hex(f.key) });
  if (m.find !== undefined) raw.find = find(m.find);
  if (m.node !== undefined) {
    const contacts = (m.node.contacts ?? []).map(contact);
    raw.node = contacts.length > 0 ? { ...find(m.node), contacts } : find(m.node);
  }
  if (m.val !== undefined) {
    const values = (m.val.values ?? []).map(hex);
    raw.val = values.length > 0 ? { values } : {};
  }
  return raw;
}

function bothWays(m: Case, bytes: Uint8Array): void {
  const raw = rawOf(m);
  assertEquals(dhtMsg.encodeRaw(raw).toHex(), bytes.toHex());
  const back = dhtMsg.parseRaw(bytes);
  if (isWireError(back)) throw new Error(`refused: ${back}`);
  assertEquals(back, raw);
  assert(dhtMsg.describe(bytes).startsWith("dht: "));
}

interface Sent {
  to: string;
  m: dhtMsg.DhtMsg;
}

class Played {
  readonly dht: Dht;
  readonly hashBytes: number;
  nowUs = 0;
  found: number | undefined;
  #seed = 1;

  constructor(input: Case) {
    const id = hex(input.own?.id ?? "00".repeat(32));
    this.hashBytes = id.length;
    const settings = {
      alpha: input.alpha ?? 3,
      k: input.k ?? 8,
      expireSec: input.t_expire ?? 86_400,
      refreshSec: input.t_refresh ?? 900,
      replicateSec: input.t_replicate ?? 900,
      peer: Number(input.peer ?? 0),
    };
    const addr = Number(input.own?.addr ?? input.own_addr);
    const random = () => Math.imul(this.#seed++, 0x9e3779b1) >>> 0;
    this.dht = new Dht(0, { id, addr }, settings, input.t0 ?? T0, random);
  }

  at(seconds: number): void {
    const untilUs = seconds * 1e6;
    for (let at = this.dht.deadlineUs(); at <= untilUs; at = this.dht.deadlineUs()) {
      this.dht.onTimer(at);
    }
    this.nowUs = untilUs;
  }

  drain(): Sent[] {
    const sent: Sent[] = [];
    for (let e = this.dht.poll(); e !== undefined; e = this.dht.poll()) {
      if (e.kind === "found") this.found = e.addrs[0] ?? 0;
      else {
        const m = dhtMsg.parse(e.bytes, this.hashBytes);
        if (m instanceof WireError) throw new Error(`sent what is none: ${m}`);
        sent.push({ to: String(e.dst), m });
      }
    }
    return sent;
  }

  receive(bytes: Uint8Array): void {
    this.dht.onMessage(this.nowUs, bytes);
  }

  /** Somebody is heard, without asking anything that would be answered. */
  hear(id: Uint8Array, addr: number): void {
    const src = { id, addr };
    const key = new Uint8Array(this.hashBytes).fill(0xee);
    const value = addr;
    const expires = Math.floor(T0 + this.nowUs / 1e6);
    this.receive(dhtMsg.encode({ kind: "store", src, key, value, expires }));
  }
}

/** What must be equal of a message. */
function essence({ to, m }: Sent, withCookie: boolean): string {
  const parts: unknown[] = [to, m.kind, m.key.toHex()];
  if (m.kind === "store") parts.push(m.value);
  else if (withCookie || m.kind.endsWith("rsp")) parts.push(String(m.cookie));
  if (m.kind === "find_node_rsp" || m.kind === "find_value_rsp") {
    parts.push(m.contacts.map((c) => `${c.addr} ${c.id.toHex()}`).sort().join());
  }
  if (m.kind === "find_value_rsp") parts.push([...m.values].sort().join());
  return parts.join(" | ");
}

function checkSends(
  got: Sent[],
  want: Case[],
  hashBytes: number,
  t: number,
  expireSec: number,
): void {
  const wanted: Sent[] = want.map((w: Case) => {
    const m = dhtMsg.parse(hex(w.hex), hashBytes);
    if (m instanceof WireError) throw new Error(`${m}`);
    return { to: w.to, m };
  });
  const have = new Set(got.map((s) => essence(s, false)));
  for (const w of wanted) assert(have.has(essence(w, false)), `missing: ${essence(w, false)}`);
  const asked = new Set(wanted.map((w) => essence(w, false)));
  for (const g of got) {
    if (g.m.kind === "store") {
      assert(g.m.expires > T0 + t - 1 && g.m.expires <= T0 + t + expireSec, "expiry");
    } else assert(asked.has(essence(g, false)), `more than wanted: ${essence(g, false)}`);
    if (g.m.kind.endsWith("req") && g.m.kind !== "store") {
      assert("cookie" in g.m && g.m.cookie !== 0n, "cookie 0");
    }
  }
}

const WALK: Record<string, (v: Case) => void> = {
  hash() {}, // tests/unit/lib/hash_test.ts
  worker() {}, // The prototype's one loop for all tasks; ours have timers of their own.

  message(v) {
    bothWays(v.input, hex(v.hex));
  },

  capture(v) {
    const b = hex(v.hex);
    const pci = dtPci.emptyDtPci();
    assertEquals(dtPci.parse(b, 0, b.length, dtPci.FLAT_LAYOUT, pci), 0);
    const { header, msg } = v.input;
    assertEquals([String(pci.dst), pci.cube, pci.ttl, pci.ecn, String(pci.eidLo)], [
      header.dst_addr,
      header.qos,
      header.ttl,
      header.ecn,
      header.eid,
    ]);
    bothWays(msg, b.subarray(dtPci.FLAT_LAYOUT.headerBytes));
  },

  input(v) {
    const played = new Played({ ...v.input, own: undefined, own_addr: v.input.own_addr });
    const b = hex(v.hex);
    const m = dhtMsg.parse(b, v.input.hash_len);
    played.receive(b);
    played.drain();
    switch (v.expect.result) {
      case "undecodable":
        return assert(isWireError(dhtMsg.parseRaw(b)));
      case "dropped":
        assert(!isWireError(dhtMsg.parseRaw(b)));
        return assertEquals(played.dht.contacts.size, 0);
      case "unknown-code":
        return assert(isWireError(m));
      case "accepted": {
        // A value that is no address is not worth keeping (spec 70 §13.2); the prototype keeps it.
        const raw = dhtMsg.parseRaw(b);
        const odd = !isWireError(raw) && raw.store !== undefined &&
          dhtMsg.addressIn(raw.store.val) === 0;
        return assertEquals(isWireError(m), odd);
      }
      default:
        throw new Error(`unknown result: ${v.expect.result}`);
    }
  },

  bucket(v) {
    const { own, k, seen } = v.input;
    const contacts = new Contacts({ id: hex(own.id), addr: Number(own.addr) }, k);
    for (const s of seen) {
      contacts.heard((s.t - v.input.t0) * 1e6, { id: hex(s.id), addr: Number(s.addr) });
    }
    for (const list of v.expect.lists ?? []) {
      const got = contacts.closest(hex(list.key), list.max).map((c) => String(c.addr));
      if (v.status === "required") assertEquals([...got].sort(), [...list.addrs].sort());
      else assert(got.length <= list.max && new Set(got).size === got.length);
    }
  },

  kv(v) {
    const played = new Played(v.input);
    const { dht } = played;
    for (const [i, step] of v.input.steps.entries()) {
      const want = v.expect.steps[i];
      const key = step.key === undefined ? new Uint8Array(0) : hex(step.key);
      if (step.t !== undefined) played.nowUs = step.t * 1e6;
      const { nowUs } = played;
      const required = v.status === "required";
      switch (step.op) {
        case "store": {
          const addr = dhtMsg.addressIn(hex(step.val));
          if (addr === 0) break;
          const isOwn = addr === dht.self.addr && dht.values.own.get(key) !== undefined;
          const exp = step.exp_in * 1e6;
          const kept = isOwn || dht.values.store(nowUs, key, addr, exp, () => true);
          if (required) assertEquals(kept ? 0 : -1, want.result);
          break;
        }
        case "reg":
          dht.register(nowUs, key);
          break;
        case "unreg":
          assertEquals(dht.unregister(nowUs, key), want.result === 0);
          break;
        case "expire":
          dht.values.sweep(nowUs);
          break;
        case "query_local":
          dht.query(nowUs, key, 1);
          played.drain();
          if (required) assertEquals(String(played.found), want.result);
          break;
        case "retrieve": {
          const own = dht.values.own.get(key) === undefined ? [] : [dht.self.addr];
          const got = [...dht.values.get(key), ...own].slice(0, 8);
          const hexes = got.map((a) => dhtMsg.valueOf(a).toHex());
          if (required) assertEquals(hexes.sort(), [...want.values].sort());
          break;
        }
        default:
          throw new Error(`unknown step: ${step.op}`);
      }
    }
    if (v.status !== "required") return;
    assertEquals(dht.values.ownSize, v.expect.own_values);
    let remote = 0;
    for (const [, values] of dht.values.stored) remote += values.length;
    assertEquals(remote, v.expect.remote_values);
  },

  exchange(v) {
    const { input } = v;
    const played = new Played(input);
    const required = v.status === "required";
    for (const [i, event] of input.events.entries()) {
      const want = v.expect[i];
      const t = event.t ?? 0;
      if (required) played.nowUs = t * 1e6;
      else played.at(t);
      let sent: Sent[] = [];
      switch (event.do) {
        case "seed":
        case "check_contacts":
          played.dht.onTimer(played.nowUs);
          break;
        case "contact":
          played.hear(hex(event.id), Number(event.addr));
          break;
        case "receive":
          played.receive(hex(event.hex));
          break;
        case "register":
          played.dht.register(played.nowUs, hex(event.key));
          break;
        case "unregister":
          played.dht.unregister(played.nowUs, hex(event.key));
          break;
        case "query": {
          played.found = undefined;
          played.dht.query(played.nowUs, hex(event.key), 1);
          sent = played.drain();
          for (const answer of event.answers_while_waiting ?? []) {
            played.receive(ourCookie(hex(answer), want.sends, sent, played.hashBytes));
            sent.push(...played.drain());
          }
          const endUs = played.nowUs + 6e6;
          while (played.found === undefined && played.dht.deadlineUs() <= endUs) {
            played.dht.onTimer(played.dht.deadlineUs());
            sent.push(...played.drain());
          }
          if (required) assertEquals(String(played.found ?? 0), want.result);
          break;
        }
        default:
          // Tasks of the prototype's loop: ours are due when they are due.
          if (!/_(task|sweep)$/.test(event.do)) throw new Error(`unknown event: ${event.do}`);
      }
      sent.push(...played.drain());
      if (required) checkSends(sent, want.sends ?? [], played.hashBytes, t, input.t_expire);
    }
  },
};

/** An answer with the cookie that this node sent, where it has the one that the case expects to be sent. */
function ourCookie(
  answer: Uint8Array,
  wanted: Case[],
  sent: Sent[],
  hashBytes: number,
): Uint8Array {
  const raw = dhtMsg.parseRaw(answer);
  if (isWireError(raw) || raw.node === undefined) return answer;
  for (const w of wanted ?? []) {
    const m = dhtMsg.parse(hex(w.hex), hashBytes);
    if (isWireError(m) || !("cookie" in m) || m.cookie !== raw.node.cookie) continue;
    const mine = sent.find((s) => s.to === w.to && "cookie" in s.m);
    if (mine !== undefined && "cookie" in mine.m) raw.node.cookie = mine.m.cookie;
    break;
  }
  return dhtMsg.encodeRaw(raw);
}

Deno.test("vectors dht.json: every case by its kind", async (t) => {
  assert(cases.length > 0);
  for (const v of cases) {
    await t.step(v.name, () => {
      const walk = WALK[v.kind];
      if (walk === undefined) throw new Error(`unknown kind: ${v.kind}`);
      walk(v);
    });
  }
});
