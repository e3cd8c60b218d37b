// What a member of a broadcast layer does with packets, and layers of many members in one process: each packet reaches
// everybody once over any graph of our members, and trees that prototypes are in.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { BroadcastNode, Verdict } from "../../../../ipcp/broadcast/node.ts";
import { LENGTH } from "../../../../lib/wire/broadcast_pci.ts";
import { Prng } from "../../../../sim/prng.ts";

const APP = 9999;

/** Numbers from a seed, 32 bits each. */
function randomOf(seed: number): () => number {
  const prng = new Prng(seed);
  return () => prng.u32();
}

interface Sent {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

/** Members 0…n-1, each with one application; `bare` are prototypes, which flood without looking. */
class Layer {
  readonly nodes: BroadcastNode[] = [];
  readonly heard: string[][] = [];
  readonly links = new Map<number, Set<number>>();
  moved = 0;

  constructor(n: number, readonly random: () => number, readonly bare: ReadonlySet<number>) {
    for (let i = 0; i < n; i++) {
      this.nodes.push(new BroadcastNode(random));
      this.nodes[i]!.add(APP, "application");
      this.heard.push([]);
      this.links.set(i, new Set());
    }
  }

  link(a: number, b: number): void {
    if (a === b || this.links.get(a)!.has(b)) return;
    const own = !this.bare.has(a) && !this.bare.has(b);
    for (const [x, y] of [[a, b], [b, a]] as const) {
      this.links.get(x)!.add(y);
      this.nodes[x]!.add(y, own ? "own" : "bare");
    }
  }

  cut(a: number, b: number): void {
    for (const [x, y] of [[a, b], [b, a]] as const) {
      this.links.get(x)!.delete(y);
      this.nodes[x]!.remove(y);
    }
  }

  /** The application of member `i` sends; packets cross in any order, until all have arrived. */
  send(i: number, text: string): void {
    const flying: Sent[] = [{ from: APP, to: i, bytes: new TextEncoder().encode(text) }];
    while (flying.length > 0) {
      const [p] = flying.splice(this.random() % flying.length, 1);
      this.moved++;
      for (const next of this.#arrive(p!)) flying.push(next);
    }
  }

  #arrive({ from, to, bytes }: Sent): Sent[] {
    if (this.bare.has(to)) {
      return [...this.links.get(to)!, APP].filter((t) => t !== from).flatMap((t) =>
        this.#out(to, t, bytes)
      );
    }
    const node = this.nodes[to]!;
    if (node.arrive(from, bytes, 0, bytes.length) !== Verdict.flood) return [];
    const payload = bytes.subarray(node.headerBytes);
    return node.neighbours.filter((n) => n.id !== from).flatMap(({ id, kind }) => {
      if (kind !== "own") return this.#out(to, id, payload);
      const packet = new Uint8Array(LENGTH + payload.length);
      node.header(packet, 0);
      packet.set(payload, LENGTH);
      return this.#out(to, id, packet);
    });
  }

  #out(from: number, to: number, bytes: Uint8Array): Sent[] {
    if (to !== APP) return [{ from, to, bytes }];
    this.heard[from]!.push(new TextDecoder().decode(bytes));
    return [];
  }
}

/** Random links that keep `n` members together, and `more` beyond a tree. */
function connect(layer: Layer, n: number, more: number): void {
  for (let i = 1; i < n; i++) layer.link(i, layer.random() % i);
  for (let i = 0; i < more; i++) layer.link(layer.random() % n, layer.random() % n);
}

Deno.test("in any graph of our members everybody hears every packet once, whatever overtakes what", () => {
  fc.assert(fc.property(fc.nat(), fc.integer({ min: 2, max: 24 }), fc.nat(60), (seed, n, more) => {
    const layer = new Layer(n, randomOf(seed), new Set());
    connect(layer, n, more);
    const texts = Array.from({ length: 5 }, (_, i) => ({ from: layer.random() % n, text: `${i}` }));
    for (const { from, text } of texts) layer.send(from, text);
    for (let i = 0; i < n; i++) {
      const wanted = texts.filter((t) => t.from !== i).map((t) => t.text);
      assertEquals(layer.heard[i], wanted);
    }
  }));
});

Deno.test("trees with prototypes at any place: everybody hears every packet once, without headers", () => {
  fc.assert(fc.property(fc.nat(), fc.integer({ min: 2, max: 20 }), (seed, n) => {
    const random = randomOf(seed);
    const bare = new Set(Array.from({ length: n }, (_, i) => i).filter(() => random() % 2 === 0));
    const layer = new Layer(n, random, bare);
    connect(layer, n, 0);
    layer.send(0, "first");
    layer.send(n - 1, "last");
    for (let i = 0; i < n; i++) {
      assertEquals(layer.heard[i], [...(i > 0 ? ["first"] : []), ...(i < n - 1 ? ["last"] : [])]);
    }
  }));
});

Deno.test("1024 members in a dense graph: no packet moves more than twice over a link", () => {
  const layer = new Layer(1024, randomOf(1), new Set());
  connect(layer, 1024, 3000);
  let links = 0;
  for (const of of layer.links.values()) links += of.size;
  layer.send(5, "hello");
  assertEquals(layer.heard.filter((h) => h.length === 1).length, 1023);
  assert(layer.moved <= links + 1, `${layer.moved} of ${links}`);
});

Deno.test("where a loop is cut the next packet goes the other way, at once", () => {
  const layer = new Layer(6, randomOf(3), new Set());
  for (let i = 0; i < 6; i++) layer.link(i, (i + 1) % 6);
  layer.send(0, "before");
  layer.cut(2, 3);
  layer.send(0, "after");
  for (let i = 1; i < 6; i++) assertEquals(layer.heard[i], ["before", "after"]);
});

Deno.test("equal packets of an application are two packets", () => {
  const layer = new Layer(3, randomOf(4), new Set());
  connect(layer, 3, 3);
  layer.send(0, "same");
  layer.send(0, "same");
  assertEquals(layer.heard[2], ["same", "same"]);
});

Deno.test("strangers, garbage, echoes and signs of life go nowhere", () => {
  const node = new BroadcastNode(randomOf(5));
  node.add(1, "own");
  node.add(2, "bare");
  const judge = (from: number, bytes: Uint8Array) => node.arrive(from, bytes, 0, bytes.length);
  assertEquals(judge(9, new Uint8Array(50)), Verdict.drop);
  assertEquals(judge(2, new Uint8Array(0)), Verdict.drop);
  for (let n = 0; n < LENGTH; n++) assertEquals(judge(1, new Uint8Array(n).fill(1)), Verdict.drop);
  assertEquals(judge(1, new Uint8Array(LENGTH).fill(1)), Verdict.drop);
  assertEquals(judge(1, new Uint8Array(LENGTH + 5)), Verdict.drop);
  assertEquals(judge(2, Uint8Array.of(1)), Verdict.flood);
  const echo = new Uint8Array(LENGTH + 1);
  node.header(echo, 0);
  assertEquals(judge(1, echo), Verdict.again);
  assertEquals(judge(1, BroadcastNode.farewell()), Verdict.farewell);
  // An application that sends the bytes of a farewell sends a packet.
  assertEquals(judge(2, BroadcastNode.farewell()), Verdict.flood);
});

Deno.test("a neighbour is added once and gone after its removal", () => {
  const node = new BroadcastNode(randomOf(6));
  node.add(1, "own");
  node.add(1, "bare");
  assertEquals(node.neighbours, [{ id: 1, kind: "own" }]);
  node.remove(1);
  node.remove(1);
  assertEquals([node.neighbours.length, node.has(1)], [0, false]);
});
