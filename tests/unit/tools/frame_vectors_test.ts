/** `frame.` of vectors/tools.json: messages of the tools as they lie in an Ethernet frame, FRCT before them where it is. */

import { assert, assertEquals } from "@std/assert";
import { isQosWord, QOS } from "../../../lib/qos.ts";
import { DIX_HEADER_BYTES, encodeDix, MAC_BYTES, parseDix } from "../../../lib/wire/eth_frame.ts";
import {
  encodeFrctPci,
  FRCT_PCI_LENGTH,
  newFrctPci,
  parseFrctPci,
} from "../../../lib/wire/frct_pci.ts";
import * as oping from "../../../lib/wire/oping_msg.ts";
import vectors from "../../vectors/tools.json" with { type: "json" };

/** The ethertype of the layers of the captures. */
const ETHERTYPE = 0xa000;

interface FrameCase {
  readonly name: string;
  readonly input: { readonly qos?: string };
  readonly hex: string;
}

/** What a tool's message must hold, given what the case calls it if it does; others carry what they like. */
function checkMessage(tool: string, message: Uint8Array, called: string | undefined): void {
  if (tool === "oping") {
    const msg = { type: 9, id: 9, stampNs: 0 };
    assertEquals(oping.parse(message, 0, message.length, msg), 0);
    if (called === "reply") assertEquals(msg.type, oping.TYPE_REPLY);
    if (called === "request") assertEquals(msg.type, oping.TYPE_REQUEST);
    assert(message.length >= oping.SIZE_MIN && message.length <= oping.SIZE_MAX);
    const again = message.slice();
    assertEquals(oping.encode(again, 0, msg), oping.LENGTH);
    assertEquals(again, message);
  } else if (tool === "oecho") {
    assertEquals(new TextDecoder().decode(message), "Client says hi!\0");
  } else assert(["operf", "ocbr", "obc", "ovpn"].includes(tool), `unknown tool ${tool}`);
}

const frames = (vectors.cases as readonly unknown[] as readonly FrameCase[])
  .filter(({ name }) => name.startsWith("frame."));

for (const one of frames) {
  Deno.test(`${one.name}: headers and message are read, and made again`, () => {
    const frame = Uint8Array.fromHex(one.hex);
    const out = { deid: 0, seid: 0, start: 0, end: 0 };
    assertEquals(parseDix(frame, 0, frame.length, ETHERTYPE, out), 0);
    const header = new Uint8Array(DIX_HEADER_BYTES);
    const [dst, src] = [frame.subarray(0, MAC_BYTES), frame.subarray(MAC_BYTES, 2 * MAC_BYTES)];
    encodeDix(dst, src, ETHERTYPE, out.deid, out.end - out.start, header, 0);
    assertEquals(header, frame.slice(0, DIX_HEADER_BYTES));
    let message = frame.subarray(out.start, out.end);
    // Without a word of its own ("default (raw)") a flow is raw.
    const word = one.input.qos ?? "raw";
    const qos = isQosWord(word) ? QOS[word] : QOS.raw;
    if (qos.inOrder !== 0) {
      const pci = newFrctPci();
      assertEquals(parseFrctPci(message, 0, message.length, pci), 0);
      const again = new Uint8Array(FRCT_PCI_LENGTH);
      encodeFrctPci(again, 0, pci.flags, pci.window, pci.seqno, pci.ackno);
      assertEquals(again, message.slice(0, FRCT_PCI_LENGTH));
      message = message.subarray(FRCT_PCI_LENGTH);
      // A bare acknowledgement.
      if (message.length === 0) return;
    }
    checkMessage(one.name.split(".")[1]!, message, /\b(request|reply)\b/.exec(one.name)?.[1]);
  });
}
