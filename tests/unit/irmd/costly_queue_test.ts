/** Costly arithmetic: whose turn it is. The threads that do it: tests/slow/irmd/costly_test.ts. Pure. */

import { assert, assertEquals } from "@std/assert";
import { CostlyQueue } from "../../../irmd/costly_queue.ts";
import { sharesOf, TOTALS } from "../../../irmd/limits.ts";
import { Share } from "../../../irmd/shares.ts";
import { OTHER_HOSTS } from "../../../lib/irm/messages.ts";

class Piece {
  gone = false;
  constructor(readonly name: string, readonly out: string[] = []) {}
  wanted(): boolean {
    return !this.gone;
  }
  left(): void {
    this.out.push(this.name);
  }
}

/** Names of what is to be done now. */
function due(q: CostlyQueue<Piece>): string[] {
  const names = [];
  for (let n = q.next(); n !== undefined; n = q.next()) names.push(n.item.name);
  return names;
}

Deno.test("queue: one piece of a user at a time, users by turns, one thread for administrators", () => {
  const q = new CostlyQueue<Piece>(new Share(64, 4), 3);
  for (const name of ["a1", "a2", "a3"]) q.enter(1, new Piece(name));
  assertEquals(due(q), ["a1"]);
  for (const uid of [2, OTHER_HOSTS]) q.enter(uid, new Piece(`u${uid}`));
  assertEquals(due(q), ["u2"]); // The third thread is for administrators.
  q.enter(0, new Piece("root1"));
  q.enter(0, new Piece("root2"));
  assertEquals(due(q), ["root1"]);
  q.done(1);
  assertEquals(due(q), []); // Still two of others' and root's at work: none is free for others.
  q.done(2);
  assertEquals(due(q), ["a2"]); // Its turn came up before the others had entered.
  q.done(1);
  assertEquals(due(q), [`u${OTHER_HOSTS}`]);
  q.done(OTHER_HOSTS);
  assertEquals(due(q), ["a3"]);
  q.done(0);
  assertEquals(due(q), ["root2"]);
});

Deno.test("queue: users hold at most what is left, and the last part is the administrators'", () => {
  const share = new Share(16, 1);
  const q = new CostlyQueue<Piece>(share, 2);
  const enter = (uid: number) => {
    let n = 0;
    while (q.enter(uid, new Piece(`${uid}`))) n += 1;
    return n;
  };
  assertEquals([enter(1), enter(OTHER_HOSTS), enter(2), enter(3)], [8, 4, 2, 1]);
  assertEquals(enter(4), 0);
  assertEquals(enter(0), 1);
  assertEquals(share.used, 16);
});

Deno.test("queue: what nobody wants any more makes room, and is told", () => {
  const out: string[] = [];
  const share = new Share(2, 1);
  const q = new CostlyQueue<Piece>(share, 2);
  const first = new Piece("first", out);
  assert(q.enter(1, first));
  assert(!q.enter(1, new Piece("more", out)));
  first.gone = true;
  const second = new Piece("second", out);
  assert(q.enter(1, second));
  assertEquals(out, ["first"]);
  second.gone = true;
  assertEquals(due(q), []);
  assertEquals([out, share.used], [["first", "second"], 0]);
  q.sweep();
  assertEquals(share.used, 0);
});

Deno.test("exchanges are shared as the configuration says", () => {
  assertEquals(sharesOf({}, 1024, 2 ** 20).exchanges.total, TOTALS.exchanges);
  assertEquals(sharesOf({ exchanges: 20 }, 1024, 2 ** 20).exchanges.total, 20);
});
