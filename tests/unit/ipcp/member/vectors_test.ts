// Captured conversations of prototypes: our machine takes the enrollee's messages and answers as the member did.

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { BROADCAST_DT, MANAGEMENT, UNICAST_DT } from "../../../../ipcp/member/cep.ts";
import { Connections } from "../../../../ipcp/member/connections.ts";
import { decodeCepMsg } from "../../../../lib/wire/cep_msg.ts";
import { decodeEnrollResp } from "../../../../lib/wire/enroll_msg.ts";
import type { IpcpConfig } from "../../../../lib/irm/messages.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";
import { unicastConf } from "../../../support/members.ts";

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

/** A layer of each type, for files from which the message that describes it was left out. */
const LAYERS: Record<string, IpcpConfig> = {
  bc: { layerInfo: { name: "layer", dirHashAlgo: 1 }, ipcpType: 2 },
  uni: unicastConf("layer", 0n, 0),
};

for (const [type, all] of conversations) {
  Deno.test(`conversation/${type}: the enrollee's messages are answered as the member answered`, () => {
    assert(type === "bc" || type === "uni", `unknown conversation ${type}`);
    const response = all.map((v) => decodeEnrollResp(Uint8Array.fromHex(v.hex)))
      .find((m) => !isWireError(m));
    const described = response === undefined || isWireError(response) ? undefined : response.conf;
    // Each component is presented on a flow of its own, to a member that has been there before: neither the order in
    // which a file has the messages nor what was left out matters.
    for (const v of all) {
      assert(/^from (enrollee|member)/.test(v.note), `${v.name}: ${v.note}`);
      if (!v.note.startsWith("from enrollee")) continue;
      const machine = new Connections({
        ipcpType: type === "bc" ? 2 : 1,
        components: type === "bc" ? [BROADCAST_DT] : [MANAGEMENT, UNICAST_DT],
        randomId: () => new Uint8Array(8),
        random: () => 0,
        wallUs: () => 0,
      });
      const bytes = Uint8Array.fromHex(v.hex);
      const answer = /cep/.test(v.name) ? answerTo(all, bytes) : undefined;
      const cep = answer && decodeCepMsg(Uint8Array.fromHex(answer.hex));
      const address = cep === undefined || isWireError(cep) ? 0 : Number(cep.address);
      machine.setLayer(described ?? LAYERS[type]!, address);
      machine.accepted(0, 1);
      machine.onMessage(0, 1, bytes);
      const wrote = writes(machine);
      if (answer !== undefined) assertEquals(wrote, [answer.hex], v.name);
    }
  });
}
