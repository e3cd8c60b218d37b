// The device's properties between threads: a copy is of one state, and a half-written one is not taken.

import { assertEquals } from "@std/assert";
import { SharedDevice } from "../../../ipcp/eth/data/device.ts";

const MAC = Uint8Array.of(0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54);

function copyOf(d: SharedDevice): unknown {
  d.refresh();
  return { index: d.index, mac: d.mac.toHex(), payloadMax: d.payloadMax };
}

Deno.test("SharedDevice copies what another view of the memory has published", () => {
  const writer = new SharedDevice();
  const reader = new SharedDevice(writer.buffer);
  writer.set({ index: 7, mac: MAC, payloadMax: 1496 });
  assertEquals(copyOf(reader), { index: 7, mac: "fedcba987654", payloadMax: 1496 });
  writer.set({ index: 9, mac: new Uint8Array(6).fill(0x80), payloadMax: 100 });
  assertEquals(copyOf(reader), { index: 9, mac: "808080808080", payloadMax: 100 });
});

Deno.test("SharedDevice keeps its copy while another is being written", () => {
  const writer = new SharedDevice();
  const reader = new SharedDevice(writer.buffer);
  writer.set({ index: 7, mac: MAC, payloadMax: 1496 });
  const before = copyOf(reader);
  const words = new Int32Array(writer.buffer);
  Atomics.add(words, 0, 1); // The writer was interrupted after its first words.
  words[1] = 99;
  words[2] = 0;
  assertEquals(copyOf(reader), before);
  writer.set({ index: 8, mac: MAC, payloadMax: 1 }); // Still odd: not whole.
  assertEquals(copyOf(reader), before);
  Atomics.add(words, 0, 1);
  assertEquals(copyOf(reader), { index: 8, mac: "fedcba987654", payloadMax: 1 });
});
