/** The directory among members whose wall clocks differ: names are found, and gone when they are withdrawn. */

import { assertEquals } from "@std/assert";
import { Dht } from "../../../../ipcp/unicast/dht/dht.ts";
import { defaultSettings } from "../../../../sim/layer.ts";
import { Prng } from "../../../../sim/prng.ts";

const A = 0x20000;
const B = 0x30000;

/** Two members, one of them so many seconds ahead, that have heard of each other. */
function pair(aheadSec: number): {
  readonly a: Dht;
  readonly b: Dht;
  readonly ask: (who: Dht, hash: Uint8Array) => readonly number[];
} {
  const random = new Prng(7);
  const { dht } = defaultSettings();
  const make = (addr: number, peer: number, unixSec: number) => {
    const id = new Uint8Array(32).map(() => random.below(256));
    return new Dht(0, { id, addr }, { ...dht, peer }, unixSec, () => random.u32());
  };
  const a = make(A, 0, 1e9 + aheadSec);
  const b = make(B, A, 1e9);
  const answers = new Map<number, readonly number[]>();
  let nowUs = 0;
  const run = () => {
    for (let i = 0; i < 300; i++) {
      nowUs += 10_000;
      for (const [from, to, addr] of [[a, b, B], [b, a, A]] as const) {
        for (let e = from.poll(); e !== undefined; e = from.poll()) {
          if (e.kind === "found") answers.set(e.token, e.addrs);
          else if (e.dst === addr) to.onMessage(nowUs, e.bytes);
        }
        if (from.deadlineUs() <= nowUs) from.onTimer(nowUs);
      }
    }
  };
  a.onMembers(0, [B]);
  b.onMembers(0, [A]);
  run();
  let token = 0;
  const ask = (who: Dht, hash: Uint8Array) => {
    run();
    who.query(nowUs, hash, ++token);
    run();
    return answers.get(token)!;
  };
  return { a, b, ask };
}

for (const aheadSec of [0, 5, -5, 2700, -2700, 86_400, -86_400, -3e7]) {
  Deno.test(`a member whose clock is ${aheadSec} s off: its names are found, then withdrawn`, () => {
    const { a, b, ask } = pair(aheadSec);
    const [one, two] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
    a.register(4e6, one);
    b.register(4e6, two);
    assertEquals(ask(b, one), [A]);
    assertEquals(ask(a, two), [B]);
    assertEquals(b.values.get(one).length, 1, "b holds it, too");
    assertEquals(a.values.get(two).length, 1, "a holds it, too");
    a.unregister(20e6, one);
    b.unregister(20e6, two);
    assertEquals(ask(b, one), []);
    assertEquals(ask(a, two), []);
  });
}
