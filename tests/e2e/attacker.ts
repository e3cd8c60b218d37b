// deno-lint-ignore-file no-console -- a program, which prints
/**
 * Attacks on a node that do not end, for under_attack_test.ts. Says `attacking` after the first round, then a number that grows.
 *
 * - `silent`: connections to the IRMd that say nothing, thousands at a time
 * - `requests`: lists, flows to names that are not there or of others, processes announced and gone, eight at a time
 * - `accepts`: accepts of flows that nobody is to have, as many as are taken
 * - `slow NAME`: flows to a name whose server signs slowly, six at a time
 * - `datagrams IP NET HASH`: requests over UDP to IP for a name, from the hosts of a /24 that never read an answer
 */

import { currentInstance, irmSocketPath } from "../../lib/instance.ts";
import { encodeIrmMsg, flowInfoOf, IrmCode, type IrmMsg } from "../../lib/irm/messages.ts";
import { Flow, OuroProcess } from "../../lib/mod.ts";
import { QOS } from "../../lib/qos.ts";
import { openUdp, sockaddrIn } from "../../lib/sys/netsock.ts";
import { SeqSocket } from "../../lib/sys/socket.ts";
import { LENGTH as OAP_BYTES } from "../../lib/wire/oap_header.ts";
import * as udp from "../../lib/wire/udp_mgmt.ts";

const SILENT = 1500;
const ACCEPTS = 500;

const [kind, ...words] = Deno.args;
/** Rounds between two lines: few of those that take long. */
const EVERY = kind === "slow" ? 2 : 50;

let count = 0;
function done(): void {
  count += 1;
  if (count === EVERY) console.log("attacking");
  else if (count % EVERY === 0) console.log(count);
}

const path = irmSocketPath(currentInstance());
const pid = Deno.pid;

/** A request; whatever comes of it. The connection is left open if nothing is waited for. */
async function request(m: IrmMsg | undefined, wait: boolean): Promise<SeqSocket | undefined> {
  try {
    const s = await SeqSocket.connectAsync(path, { timeoutMs: 1000 });
    if (m !== undefined) s.sendSync(encodeIrmMsg(m));
    if (!wait) return s;
    await s.recv({ timeoutMs: 1000, maxBytes: 1 << 20 });
    s.close();
  } catch { /* Refused, or closed. */ }
  return undefined;
}

/** `lanes` loops that go on without end. */
function forever(lanes: number, round: (n: number) => Promise<void>): Promise<unknown> {
  return Promise.all(Array.from({ length: lanes }, async (_, lane) => {
    for (let n = lane;; n++) {
      await round(n);
      done();
    }
  }));
}

/** Holds `most` connections on which `m` was said; the oldest go. */
async function hold(m: IrmMsg | undefined, most: number): Promise<void> {
  const held: SeqSocket[] = [];
  await forever(8, async () => {
    const s = await request(m, false);
    if (s !== undefined) held.push(s);
    if (held.length > most) held.shift()!.close();
  });
}

function datagrams(ip: Uint8Array, net: Uint8Array, hash: Uint8Array): Promise<unknown> {
  const sockets = Array.from(
    { length: 200 },
    (_, n) => openUdp(sockaddrIn(Uint8Array.of(...net, 2 + n), 3435)),
  );
  const to = sockaddrIn(ip, 3435);
  return forever(1, async (n) => {
    // Without a key: an id, the time, and no more.
    const data = new Uint8Array(OAP_BYTES);
    crypto.getRandomValues(data.subarray(0, 16));
    new DataView(data.buffer).setBigUint64(16, BigInt(Date.now()) * 1_000_000n);
    const m = { kind: "flow_req", requesterEid: n + 1, qos: QOS.raw, hash, data } as const;
    const bytes = new Uint8Array(udp.encodedLength(m));
    udp.encode(m, bytes, 0);
    sockets[n % sockets.length]!.sendTo(bytes, to);
    if (n % 5 === 0) await new Promise((go) => setTimeout(go, 10));
  });
}

const alloc = (dst: string): IrmMsg => ({
  code: IrmCode.IRM_FLOW_ALLOC,
  dst,
  flowInfo: flowInfoOf({ nPid: pid, qos: QOS.raw }),
});
const announce: IrmMsg = { code: IrmCode.IRM_PROC_ANNOUNCE, pid, prog: "attacker" };

switch (kind) {
  case "silent":
    await hold(undefined, SILENT);
    break;
  case "accepts":
    await request(announce, true);
    await hold({ code: IrmCode.IRM_FLOW_ACCEPT, flowInfo: flowInfoOf({ nPid: pid }) }, ACCEPTS);
    break;
  case "requests": {
    const kinds = [
      announce,
      { code: IrmCode.IRM_LIST_NAMES },
      alloc("nowhere"),
      alloc(words[0]!),
      { code: IrmCode.IRM_PROC_EXIT, pid },
    ];
    await forever(8, async (n) => void await request(kinds[n % kinds.length], true));
    break;
  }
  case "slow": {
    const process = OuroProcess.open({ prog: "attacker" });
    await forever(6, async () => {
      try {
        await using _flow = await Flow.alloc(process, words[0]!);
      } catch { /* It is refused when too many wait. */ }
    });
    break;
  }
  default:
    await datagrams(
      ...words.map((w) => Uint8Array.fromHex(w)) as [Uint8Array, Uint8Array, Uint8Array],
    );
}
