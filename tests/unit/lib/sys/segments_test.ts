/** Runs of datagrams as one: what arrives is what a sendmmsg of the same messages would bring, joined or not. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { MessageBatch, openUdp, Poller, sockaddrIn, WakeFd } from "../../../../lib/sys/netsock.ts";
import { joinSegments, SegmentSender } from "../../../../lib/sys/segments.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const SLOT = 65536;

/** A socket on the loopback, what it received so far, each datagram apart. */
class End implements Disposable {
  readonly socket = openUdp(sockaddrIn(LOOPBACK, 0));
  readonly joins: boolean;
  /** Messages that the kernel gave. */
  given = 0;
  readonly #wake = new WakeFd();
  readonly #poller = new Poller(this.socket.fd, this.#wake.fd);
  readonly #batch: MessageBatch;

  constructor(join: boolean) {
    this.joins = join && joinSegments(this.socket.fd);
    this.#batch = new MessageBatch(16, SLOT, 16, this.joins);
  }

  take(count: number): Uint8Array[] {
    const got: Uint8Array[] = [];
    while (got.length < count && this.#ready()) {
      const batch = this.#batch;
      const n = this.socket.receive(batch);
      for (let i = 0; i < n; i++) {
        const length = batch.length(i);
        const each = batch.segmentBytes(i) || length;
        this.given++;
        for (let at = 0; at < length; at += each) {
          const from = i * SLOT + at;
          got.push(batch.data.slice(from, from + Math.min(each, length - at)));
        }
      }
      batch.rearm(Math.max(0, n));
    }
    return got;
  }

  #ready(): boolean {
    this.#poller.wait(2000);
    return true;
  }

  [Symbol.dispose](): void {
    this.socket.close();
    this.#wake.close();
  }
}

function send(ends: readonly End[], sizes: readonly (readonly [number, number])[]): Uint8Array[][] {
  const batch = new MessageBatch(sizes.length, SLOT, 16);
  const sender = new SegmentSender(batch);
  const sent: Uint8Array[][] = ends.map(() => []);
  for (const [i, [to, bytes]] of sizes.entries()) {
    const message = batch.data.subarray(i * SLOT, i * SLOT + bytes);
    for (let k = 0; k < bytes; k++) message[k] = i + k;
    batch.setName(i, ends[to]!.socket.localName());
    batch.setLength(i, bytes);
    sent[to]!.push(message.slice());
  }
  using from = openUdp(sockaddrIn(LOOPBACK, 0));
  for (let at = 0; at < sizes.length;) {
    const n = sender.send(from.fd, at, sizes.length - at);
    assert(n > 0, String(n));
    at += n;
  }
  return sent;
}

Deno.test("datagrams in segments arrive as they were written, whoever joins them", () => {
  using plain = new End(false);
  using joined = new End(true);
  const ends = [plain, joined];
  const size = fc.oneof(fc.constantFrom(1, 2, 100, 1400), fc.integer({ min: 1, max: 3000 }));
  const runs = fc.array(fc.tuple(fc.nat(1), size, fc.integer({ min: 1, max: 12 })), {
    minLength: 1,
    maxLength: 5,
  });
  fc.assert(
    fc.property(runs, (some) => {
      const sizes = some.flatMap(([to, bytes, n]) => Array(n).fill([to, bytes] as const));
      const sent = send(ends, sizes);
      for (const [k, end] of ends.entries()) assertEquals(end.take(sent[k]!.length), sent[k]);
    }),
    { numRuns: 40 },
  );
});

Deno.test("a run of datagrams is one message for who joins, and datagrams too long for segments go alone", () => {
  using end = new End(true);
  const run = send([end], Array(40).fill([0, 1000]));
  assertEquals(end.take(40), run[0]);
  if (end.joins) assertEquals(end.given, 1);
  const long = send([end], Array(3).fill([0, 60_000]));
  assertEquals(end.take(3), long[0]);
});
