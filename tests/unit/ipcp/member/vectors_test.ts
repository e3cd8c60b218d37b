// Captured conversations of prototypes: our machine takes the enrollee's messages and answers as the member did.

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { BROADCAST_DT, MANAGEMENT, UNICAST_DT } from "../../../../ipcp/member/cep.ts";
import { Connections } from "../../../../ipcp/member/connections.ts";
import { decodeCepMsg } from "../../../../lib/wire/cep_msg.ts";
import { decodeEnrollResp } from "../../../../lib/wire/enroll_msg.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";

interface Vector {
  readonly name: string;
  readonly note: string;
  readonly hex: string;
}

const path = fromFileUrl(new URL("../../../vectors/ipcp.json", import.meta.url));
const cases: Vector[] = JSON.parse(Deno.readTextFileSync(path)).cases;
const conversations = Map.groupBy(
  cases.filter(({ name }) => name.startsWith("conversation/")),
  ({ name }) => name.split("/")[1]!,
);

/** What the machine writes on a flow, in order. */
function writes(machine: Connections): string[] {
  const out: string[] = [];
  for (let e = machine.poll(); e !== undefined; e = machine.poll()) {
    if (e.kind === "write") out.push(e.bytes.toHex());
  }
  return out;
}

/** How the member presented the component that `asked` presents, if that was captured. */
function answerTo(all: Vector[], asked: Uint8Array): Vector | undefined {
  const wanted = decodeCepMsg(asked);
  return all.find((v) => {
    if (!v.note.startsWith("from member") || !/cep/.test(v.name)) return false;
    const m = decodeCepMsg(Uint8Array.fromHex(v.hex));
    return !isWireError(m) && !isWireError(wanted) && m.compName === wanted.compName;
  });
}

for (const [type, all] of conversations) {
  Deno.test(`conversation/${type}: the enrollee's messages are answered as the member answered`, () => {
    assert(type === "bc" || type === "uni", `unknown conversation ${type}`);
    const response = all.map((v) => decodeEnrollResp(Uint8Array.fromHex(v.hex)))
      .find((m) => !isWireError(m));
    const machine = new Connections({
      ipcpType: type === "bc" ? 2 : 1,
      components: type === "bc" ? [BROADCAST_DT] : [MANAGEMENT, UNICAST_DT],
      randomId: () => new Uint8Array(8),
      random: () => 0,
      wallUs: () => 0,
    });
    let answered = 0, flow = 0;
    for (const v of all) {
      if (!v.note.startsWith("from enrollee")) continue;
      const bytes = Uint8Array.fromHex(v.hex);
      if (/cep/.test(v.name)) {
        machine.accepted(0, ++flow);
        const answer = answerTo(all, bytes);
        const cep = answer && decodeCepMsg(Uint8Array.fromHex(answer.hex));
        const address = cep === undefined || isWireError(cep) ? 0 : Number(cep.address);
        const conf = response === undefined || isWireError(response) ? undefined : response.conf;
        if (conf !== undefined) machine.setLayer(conf, address);
        machine.onMessage(0, flow, bytes);
        const wrote = writes(machine);
        if (answer !== undefined) assertEquals(wrote, [answer.hex], v.name);
        answered++;
      } else {
        machine.onMessage(0, flow, bytes);
        writes(machine);
      }
    }
    assert(answered > 0 || all.every((v) => !v.note.startsWith("from enrollee")));
  });
}
