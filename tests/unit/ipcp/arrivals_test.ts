// The door that requests for flows pass: how many are asked of the IRMd at once, who waits, whose turn it is, who is not let in.

import { assertEquals } from "@std/assert";
import {
  Arrivals,
  ASKING_MAX,
  ASKING_PER_SOURCE_MAX,
  ASKING_UNPROVEN_MAX,
  ASKING_UNPROVEN_PER_NAME_MAX,
  RECENT_LIFE_US,
  RECENT_MAX,
  WAITING_LIFE_US,
  WAITING_MAX,
  WAITING_PER_SOURCE_MAX,
} from "../../../ipcp/arrivals.ts";
import { QOS } from "../../../lib/qos.ts";
import { OAP, SRV } from "../../support/machines.ts";

/** Requests, each another one; its peer is the number that it is given. */
class Door {
  readonly arrivals = new Arrivals<number>();
  #copies = 0;

  enter(
    source: string,
    peer: number,
    { nowUs = 0, proven = true, prefix = source, hash = SRV, copy = `${this.#copies++}` } = {},
  ): string {
    const request = { peer, hash, qos: QOS.raw, data: OAP };
    return this.arrivals.enter(nowUs, { source, prefix, proven }, copy, request);
  }

  /** `n` requests of one source: how often each answer came. */
  many(source: string, n: number, more: Parameters<Door["enter"]>[2] = {}): Record<string, number> {
    const answers: Record<string, number> = {};
    for (let i = 0; i < n; i++) {
      const answer = this.enter(source, i, more);
      answers[answer] = (answers[answer] ?? 0) + 1;
    }
    return answers;
  }

  /** What the IRMd is asked now: numbers of questions by peer. */
  asked(): [peer: number, ask: number][] {
    const asked: [number, number][] = [];
    for (let e = this.arrivals.poll(); e !== undefined; e = this.arrivals.poll()) {
      asked.push([e.peer, e.ask]);
    }
    return asked;
  }
}

const name = (n: number) => new Uint8Array(32).fill(n);

Deno.test("so many requests of one source are asked at once, and so many in all; others wait", () => {
  const d = new Door();
  assertEquals(d.many("a", ASKING_PER_SOURCE_MAX + 2), {
    asked: ASKING_PER_SOURCE_MAX,
    waiting: 2,
  });
  for (const source of ["b", "c", "d"]) d.many(source, ASKING_PER_SOURCE_MAX);
  assertEquals([d.arrivals.size, d.asked().length], [ASKING_MAX, ASKING_MAX]);
  assertEquals([d.enter("e", 1), d.arrivals.waitingCount], ["waiting", 3]);
});

Deno.test("an answer makes room, for as many as have been answered", () => {
  const d = new Door();
  for (let i = 0; i < 3 * ASKING_MAX; i++) {
    assertEquals([d.enter("a", i), d.enter("b", -i, { proven: false })], ["asked", "asked"]);
    const [[, first], [, second]] = d.asked() as [[number, number], [number, number]];
    assertEquals([d.arrivals.answered(i, first), d.arrivals.answered(i, second)], [i, -i]);
    assertEquals(d.arrivals.answered(i, first), undefined); // once
  }
  assertEquals([d.arrivals.size, d.arrivals.waitingCount], [0, 0]);
  assertEquals(d.many("a", ASKING_PER_SOURCE_MAX), { asked: ASKING_PER_SOURCE_MAX });
});

Deno.test("who waits is let in by an answer, oldest first, sources in turn; who waited too long is not", () => {
  const d = new Door();
  for (const source of ["w", "x", "y", "z"]) d.many(source, ASKING_PER_SOURCE_MAX);
  const asks = d.asked().map(([, ask]) => ask);
  assertEquals(d.enter("old", 100), "waiting");
  const nowUs = WAITING_LIFE_US;
  for (const [i, source] of ["a", "a", "b", "a", "b"].entries()) {
    d.enter(source, i, { nowUs: 1 });
  }
  const next: number[] = [];
  for (const ask of asks.slice(0, 5)) {
    d.arrivals.answered(nowUs, ask);
    next.push(...d.asked().map(([peer]) => peer));
  }
  assertEquals(next, [0, 2, 1, 4, 3]);
  assertEquals(d.arrivals.waitingCount, 0);
  d.arrivals.answered(nowUs, asks[5]!);
  assertEquals(d.enter("old", 101), "asked"); // nothing of it waits any more
});

Deno.test("a source whose requests wait gets no other in before them", () => {
  const d = new Door();
  d.many("a", ASKING_PER_SOURCE_MAX + 1);
  const [[, ask]] = d.asked() as [[number, number]];
  assertEquals(d.enter("a", 500), "waiting");
  d.arrivals.answered(0, ask);
  assertEquals(d.asked().map(([peer]) => peer), [ASKING_PER_SOURCE_MAX]);
  assertEquals(d.arrivals.waitingCount, 1);
});

Deno.test("of what may be forged half of the places, some for a name, and one share for a network", () => {
  const d = new Door();
  const proven = false;
  const some = d.many("a", ASKING_UNPROVEN_PER_NAME_MAX + 1, { proven });
  assertEquals(some, { asked: ASKING_UNPROVEN_PER_NAME_MAX, waiting: 1 });
  // Names have a share each, and so have networks: here are two addresses of one.
  for (const k of [2, 3]) {
    const of = { proven, prefix: "net", hash: name(k) };
    assertEquals(d.many(`${k}`, ASKING_UNPROVEN_PER_NAME_MAX, of), {
      asked: ASKING_UNPROVEN_PER_NAME_MAX,
    });
  }
  assertEquals(d.enter("4", 1, { proven, prefix: "net", hash: name(4) }), "waiting");
  assertEquals(d.many("5", 9, { proven, hash: name(5) }), { asked: 8, waiting: 1 });
  assertEquals(d.arrivals.size, ASKING_UNPROVEN_MAX);
  assertEquals(d.enter("6", 1, { proven, hash: name(6) }), "waiting");
  // They take no place of those that cannot be forged.
  assertEquals(d.enter("7", 1), "asked");
});

Deno.test("one that may be forged is let in when another is answered", () => {
  const d = new Door();
  d.many("a", ASKING_UNPROVEN_PER_NAME_MAX + 1, { proven: false });
  const [[, ask]] = d.asked() as [[number, number]];
  d.arrivals.answered(0, ask);
  assertEquals(d.asked().map(([peer]) => peer), [ASKING_UNPROVEN_PER_NAME_MAX]);
});

Deno.test("not more wait than there is room for: of one source, and in all", () => {
  const d = new Door();
  assertEquals(d.many("a", ASKING_PER_SOURCE_MAX + WAITING_PER_SOURCE_MAX + 2), {
    asked: ASKING_PER_SOURCE_MAX,
    waiting: WAITING_PER_SOURCE_MAX,
    flooded: 2,
  });
  for (const source of ["b", "c", "d"]) d.many(source, 2 * WAITING_PER_SOURCE_MAX);
  assertEquals([d.arrivals.waitingCount, d.enter("e", 1)], [WAITING_MAX, "flooded"]);
});

Deno.test("a copy of a recent request is none; another source's, another one and an old one are", () => {
  const d = new Door();
  const copy = "same";
  assertEquals([d.enter("a", 1, { copy }), d.enter("a", 1, { copy })], ["asked", "replayed"]);
  assertEquals([d.enter("b", 2, { copy }), d.enter("a", 3)], ["asked", "asked"]);
  const late = (nowUs: number) => d.enter("a", 4, { copy, nowUs });
  assertEquals([late(RECENT_LIFE_US - 1), late(RECENT_LIFE_US)], ["replayed", "asked"]);
});

Deno.test("the oldest of many recent ones are forgotten", () => {
  const d = new Door();
  d.enter("a", 0, { copy: "first" });
  for (let i = 1; i < RECENT_MAX; i++) {
    d.enter("a", i);
    for (const [, ask] of d.asked()) d.arrivals.answered(0, ask);
  }
  assertEquals(d.enter("a", 0, { copy: "first" }), "asked");
});

Deno.test("who shows that it is there while its request waits goes over to those who have shown it", () => {
  const d = new Door();
  const waits = { proven: false, copy: "one" };
  for (const k of [1, 2, 3, 4]) d.many(`${k}`, 8, { proven: false, hash: name(k) });
  d.asked();
  assertEquals([d.enter("a", 1, waits), d.enter("a", 1, waits)], ["waiting", "replayed"]);
  assertEquals([d.enter("a", 2, { copy: "one" }), d.arrivals.waitingCount], ["asked", 0]);
  assertEquals(d.asked().map(([peer]) => peer), [2]);
  // It is one that is asked now, so a copy of it is one.
  assertEquals(d.enter("a", 3, { copy: "one" }), "replayed");
});

Deno.test("all is forgotten", () => {
  const d = new Door();
  d.many("a", ASKING_PER_SOURCE_MAX + 1);
  d.many("b", ASKING_UNPROVEN_PER_NAME_MAX + 1, { proven: false });
  d.arrivals.clear();
  assertEquals([d.arrivals.size, d.arrivals.waitingCount, d.asked()], [0, 0, []]);
  assertEquals(d.many("a", ASKING_PER_SOURCE_MAX), { asked: ASKING_PER_SOURCE_MAX });
  assertEquals(d.many("b", 8, { proven: false }), { asked: ASKING_UNPROVEN_PER_NAME_MAX });
});
