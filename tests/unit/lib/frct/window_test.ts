/**
 * The receive window follows what there is room for: long packets find fewer blocks, and a link that loses nothing
 * must not lose them.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { BufferPool, createFrct } from "../../../../lib/frct/mod.ts";
import { START_WINDOW_PACKETS } from "../../../../lib/frct/constants.ts";

const PACKET = 12 + 1000;

/**
 * Sends `messages` from one end to another that has room for `room` packets and reads in steps; the most that were
 * unread at once.
 */
function transfer(messages: number, room: number, steps: readonly number[]) {
  const buffers = new BufferPool();
  const config = { reliable: true, mplMs: 100, buffers };
  const a = createFrct(1, { ...config, initialSeqno: 0xfffffff0 });
  const b = createFrct(1, { ...config, initialSeqno: 7, room: () => room });
  const message = new Uint8Array(1000);
  const packet = new Uint8Array(PACKET);
  let nowUs = 1e9;
  let sent = 0;
  let read = 0;
  let most = 0;
  let mostLate = 0;
  let edge = NaN;
  let step = 0;
  const answer = () => {
    for (let n = b.poll(nowUs, packet, 0); n > 0; n = b.poll(nowUs, packet, 0)) {
      a.onPacket(nowUs, packet, 0, n);
    }
  };
  while (read < messages) {
    while (sent < messages && a.writable()) {
      const n = a.write(nowUs, message, 0, 1000, packet, 0);
      if (n < 0) break;
      sent++;
      b.onPacket(nowUs, packet, 0, n);
    }
    most = Math.max(most, sent - read);
    if (read >= START_WINDOW_PACKETS) mostLate = Math.max(mostLate, sent - read);
    const told = b.stats(nowUs).rcvRwe;
    assert(Number.isNaN(edge) || ((told - edge) | 0) >= 0, "the edge moved back");
    edge = told;
    for (let k = steps[step++ % steps.length]!; k > 0 && b.pendingBytes() >= 0; k--) {
      b.read(nowUs, message, 0, 1000);
      read++;
      if (b.outputDue) answer();
    }
    nowUs += 1000;
    for (const end of [a, b]) if (end.deadlineUs() <= nowUs) end.onTimer(nowUs);
    answer();
  }
  const { retransmissions, rendezVous } = a.stats(nowUs);
  for (const end of [a, b]) end.dispose();
  assertEquals(buffers.live, 0);
  return { most, mostLate, retransmissions, rendezVous };
}

Deno.test("a window of room: no more is under way than there are blocks for", () => {
  for (const room of [4, 10, 42, 85, 170]) {
    const { most, mostLate, retransmissions } = transfer(2000, room, [3]);
    assert(most <= Math.max(room, START_WINDOW_PACKETS), `${most} at ${room}`);
    assert(mostLate <= room, `${mostLate} at ${room}`);
    assertEquals(retransmissions, 0);
  }
});

Deno.test("a window of room: everything arrives however the reader reads", () => {
  const steps = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 300 }), steps, (room, reads) => {
      assertEquals(transfer(600, room, reads).rendezVous, 0);
    }),
    { numRuns: 60 },
  );
});
