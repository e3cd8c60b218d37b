/**
 * Messages of no bytes on reliable flows, and the end of the messages: two packets without payload that must not be
 * mixed up.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { BufferPool, createFrct, type FrctEndpoint } from "../../../../lib/frct/mod.ts";
import {
  describeFrct,
  EMPTY_MESSAGE,
  newFrctPci,
  parseFrctPci,
  PciFlag,
} from "../../../../lib/wire/frct_pci.ts";

const NO_BYTES = new Uint8Array(0);

/** A reliable end and the packet that it sends for a message, or for the end. */
function sender(reliable = true) {
  const buffers = new BufferPool();
  const ep = createFrct(1, { reliable, mplMs: 100, initialSeqno: 0x100, buffers });
  const send = (what: "end" | Uint8Array): Uint8Array => {
    const bytes = what === "end" ? NO_BYTES : what;
    const packet = new Uint8Array(12 + bytes.length);
    const empty = what !== "end" && bytes.length === 0;
    assertEquals(ep.begin(0, packet, 0, empty), 12);
    packet.set(bytes, 12);
    ep.sent(0, bytes, 0, bytes.length, empty);
    return packet;
  };
  return { ep, send, buffers };
}

function receiver(reliable = true): FrctEndpoint {
  return createFrct(1, { reliable, mplMs: 100, initialSeqno: 7, buffers: new BufferPool() });
}

/** What is read until there is nothing: lengths, and "end" behind the last. */
function readAll(ep: FrctEndpoint): (number | "end")[] {
  const got: (number | "end")[] = [];
  const into = new Uint8Array(100);
  while (ep.pendingBytes() >= 0) {
    const n = ep.read(0, into, 0, 100);
    got.push(ep.ended ? "end" : n);
  }
  return got;
}

Deno.test("a message of no bytes is data without FC whose window says so; the prototype ignores that", () => {
  const { send } = sender();
  const pci = newFrctPci();
  const packet = send(NO_BYTES);
  assertEquals(parseFrctPci(packet, 0, packet.length, pci), 0);
  assertEquals(pci.flags & (PciFlag.DATA | PciFlag.FC | PciFlag.ACK), PciFlag.DATA);
  assertEquals(pci.window, EMPTY_MESSAGE);
  assert(describeFrct(packet).endsWith("+0 (message)"));
  const end = send("end");
  assertEquals(parseFrctPci(end, 0, end.length, pci), 0);
  assertEquals(pci.window, 0);
  assert(describeFrct(end).endsWith("+0"));
});

Deno.test("messages of no bytes and the end are told apart in any order of arrival", () => {
  const order = fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 });
  fc.assert(fc.property(order, (arrival) => {
    const { send } = sender();
    const packets = [NO_BYTES, Uint8Array.of(1), NO_BYTES, NO_BYTES, "end" as const].map(send);
    const ep = receiver();
    const got: (number | "end")[] = [];
    // The first opens the run; it comes again like any other.
    ep.onPacket(0, packets[0]!, 0, packets[0]!.length);
    for (const k of arrival) {
      ep.onPacket(0, packets[k]!, 0, packets[k]!.length);
      got.push(...readAll(ep));
    }
    assertEquals(got, [0, 1, 0, 0, "end"]);
  }));
});

Deno.test("a reader that waits gets a message of no bytes as 0, and the end as the end", () => {
  const { send } = sender();
  const ep = receiver();
  for (const [what, ended] of [[NO_BYTES, false], ["end", true]] as const) {
    const packet = send(what);
    assertEquals(ep.onPacketDirect(0, packet, 0, packet.length, 10), 0);
    assertEquals(ep.ended, ended);
  }
});

Deno.test("a message of no bytes that was lost is sent again as what it was", () => {
  const { ep, send } = sender();
  send(NO_BYTES);
  send("end");
  const far = receiver();
  const packet = new Uint8Array(100);
  let us = 0;
  for (let k = 0; k < 50 && !far.ended; k++) {
    us = Math.max(us + 1000, Math.min(ep.deadlineUs(), us + 1e6));
    ep.onTimer(us);
    for (let n = ep.poll(us, packet, 0); n > 0; n = ep.poll(us, packet, 0)) {
      far.onPacket(us, packet, 0, n);
    }
    for (let n = far.poll(us, packet, 0); n > 0; n = far.poll(us, packet, 0)) {
      ep.onPacket(us, packet, 0, n);
    }
    if (far.pendingBytes() >= 0 && far.stats(us).rcvLwe === 0x100) {
      assertEquals(far.read(us, packet, 0, 100), 0);
      assertEquals(far.ended, false);
    }
    readAll(far);
  }
  assert(far.ended);
});

Deno.test("an acknowledgement that is owed is not taken for sent with a message of no bytes", () => {
  const { ep, send } = sender();
  const far = sender();
  const packet = far.send(Uint8Array.of(1));
  ep.onPacket(0, packet, 0, packet.length);
  const before = ep.deadlineUs();
  send(NO_BYTES);
  assert(ep.deadlineUs() <= before, "the acknowledgement is still to come");
});

Deno.test("without retransmission nothing is an end", () => {
  const { send } = sender(false);
  const ep = receiver(false);
  for (const what of [NO_BYTES, "end"] as const) {
    const packet = send(what);
    ep.onPacket(0, packet, 0, packet.length);
  }
  assertEquals(readAll(ep), [0, 0]);
});
