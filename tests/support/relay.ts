/** A relay in this process: the data path of a unicast node between two lower flows, whose other ends the test has. */

import { Mail, Mailbox } from "../../ipcp/data/mailbox.ts";
import { UnicastPath } from "../../ipcp/unicast/data/path.ts";
import { SLOT_FIRST } from "../../ipcp/unicast/eids.ts";
import { Forwarder } from "../../ipcp/unicast/forward.ts";
import { BEST_HOP } from "../../ipcp/unicast/forwarding.ts";
import { mark, MbEcn } from "../../ipcp/unicast/mb_ecn.ts";
import { DataStats } from "../../ipcp/unicast/stats.ts";
import { ForwardTable, HopState, HopStates } from "../../ipcp/unicast/table.ts";
import { ProcessParts, socketLink } from "../../lib/flow/process_parts.ts";
import { ThreadWords } from "../../lib/flow/thread_words.ts";
import { encodeIrmMsg, IrmCode } from "../../lib/irm/messages.ts";
import { QOS } from "../../lib/qos.ts";
import { encode as encodePci, FLAT_LAYOUT } from "../../lib/wire/dt_pci.ts";
import { App, type AppFlow, IPCP_PID, IpcpMemory } from "./ipcp_memory.ts";
import { withShm } from "./shm.ts";

const [SELF, FAR] = [0x11111111, 0x22222222];
const [LEFT, RIGHT] = [1, 2];
const PAYLOAD_BYTES = 64;
/** See the head of this file. */
class Relay extends UnicastPath {
  /** Called once a turn, if there is one; the relay does not sleep then. */
  between: (() => void) | undefined;

  protected override dueNs(): number {
    return this.between === undefined ? super.dueNs() : 0;
  }

  protected override moveDue(): void {
    super.moveDue();
    this.between?.();
  }
}

/** A relay that has been told of its lower flows, and a packet that goes from the left one to the right one. */
export function withRelay(
  use: (
    relay: Pick<Relay, "run" | "between">,
    m: IpcpMemory,
    left: AppFlow,
    right: AppFlow,
    packet: Uint8Array,
  ) => void,
): void {
  withShm((i, defer) => {
    const m = new IpcpMemory(i, [], defer);
    const mailbox = new Mailbox();
    const table = new ForwardTable(16);
    table.publish(new Map([[FAR, [RIGHT]]]));
    const states = new HopStates(8);
    for (const id of [LEFT, RIGHT]) states.set(id, HopState.up);
    const congestion = { flow: (nowNs: number) => new MbEcn(nowNs), mark };
    const parts = new ProcessParts({
      ...{ instance: i, pid: IPCP_PID, uid: 0, pool: m.context.pool, set: m.set, first: false },
      words: new Int32Array(new SharedArrayBuffer(ThreadWords.COUNT * 4)),
    }, socketLink(i));
    const events = { lower: () => {}, carries: () => {}, released: () => {} };
    const relay = new Relay(
      { parts: m, set: m.set, process: parts, mailbox, events },
      SELF,
      new Forwarder(SELF, FLAT_LAYOUT, 60, BEST_HOP, congestion, table, states),
      congestion,
      new DataStats(),
      () => {},
    );
    // The right one is there before what is for it.
    const [right, left] = [RIGHT, LEFT].map((id): AppFlow => {
      const app = new App(i, 900100 + id, 0, m.set, defer);
      const flow = app.flow(id, defer);
      const qos = QOS.raw;
      const flowInfo = { id, nPid: IPCP_PID, n1Pid: app.pid, mpl: 100, state: 2, qos, uid: 0 };
      mailbox.put(Mail.lower, 0, 0, encodeIrmMsg({ code: IrmCode.IRM_REPLY, flowInfo }));
      return flow;
    });
    const packet = new Uint8Array(FLAT_LAYOUT.headerBytes + PAYLOAD_BYTES);
    const pci = { dst: FAR, cube: 0, ttl: 60, ecn: 0, eidHi: 1, eidLo: SLOT_FIRST + 9 };
    encodePci(pci, packet, 0, FLAT_LAYOUT);
    use(relay, m, left!, right!, packet);
  });
}
