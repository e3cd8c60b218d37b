// deno-lint-ignore-file no-console -- a program, which prints
// A stranger that talks to a member of a unicast layer: it presents itself as a component, or as nothing, and then sends
// garbage. argv: name of the member, seed. Prints "done" when it has said everything.

import { MANAGEMENT, presentation, UNICAST_DT } from "../../ipcp/member/cep.ts";
import { Flow, OuroProcess } from "../../lib/mod.ts";
import { encode, FLAT_LAYOUT } from "../../lib/wire/dt_pci.ts";
import { decodeCepMsg } from "../../lib/wire/cep_msg.ts";
import { isWireError } from "../../lib/wire/mod.ts";

const [dst, seedText] = Deno.args as [string, string];
let x = Number(seedText) >>> 0;
const random = () => (x = (Math.imul(x, 1664525) + 1013904223) >>> 0) >>> 8;
const PACKETS = 3000;

function garbage(most: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(random() % most);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random();
  return bytes;
}

/** A packet that is well-formed so far, for the member at `dst` or for nobody, with garbage behind. */
function packet(dst: number): Uint8Array<ArrayBuffer> {
  const payload = garbage(300);
  const bytes = new Uint8Array(FLAT_LAYOUT.headerBytes + payload.length);
  encode(
    {
      dst: random() % 4 === 0 ? random() : dst,
      cube: random() & 255,
      ttl: random() & 255,
      ecn: random() & 255,
      eidHi: random() % 3 === 0 ? random() : 0,
      eidLo: random() % 80,
    },
    bytes,
    0,
    FLAT_LAYOUT,
  );
  bytes.set(payload, FLAT_LAYOUT.headerBytes);
  // A flow allocator's messages have their code here.
  if (payload.length > 61) bytes[FLAT_LAYOUT.headerBytes + 58] = random() % 5;
  return bytes;
}

using process = OuroProcess.open({ prog: "stranger" });
const into = new Uint8Array(2048);
for (const component of [UNICAST_DT, MANAGEMENT, undefined]) {
  using flow = Flow.allocSync(process, dst, { timeoutMs: 60_000 });
  let address = 0;
  if (component !== undefined) {
    flow.writeSync(presentation(component, 0x66666666));
    const n = flow.readSync(into, { timeoutMs: 60_000 });
    const answer = decodeCepMsg(into.subarray(0, Math.max(0, n)));
    if (isWireError(answer)) throw new Error(`no answer: ${n}`);
    address = Number(answer.address);
  }
  for (let i = 0; i < PACKETS; i++) {
    const bytes = component === UNICAST_DT && i % 3 !== 0 ? packet(address) : garbage(1400);
    const sent = flow.writeSync(bytes, { timeoutMs: 1000 });
    if (sent < 0 && i === 0) throw new Error(`cannot send: ${sent}`);
  }
}
console.log("done");
