// A running daemon under a storm of well-formed but senseless and of broken messages, from a process that is its
// administrator: nothing may end it, hang it, or make it report a defect of its own. Programs it may start do not exist.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { instanceOf, irmSocketPath } from "../../lib/instance.ts";
import { AdminClient } from "../../lib/irm/admin.ts";
import { encodeIrmMsg, flowInfoOf, IrmCode, type IrmMsg } from "../../lib/irm/messages.ts";
import { SeqSocket } from "../../lib/sys/socket.ts";
import { within } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";
import { arbIrmMsg } from "../unit/lib/irm/arbitrary.ts";
import { fuzzRuns } from "../support/seed.ts";

const numRuns = fuzzRuns(1500);

/** Codes that are sent; creating IPCPs would only start processes. */
const CODES = Object.values(IrmCode).filter((c) => c !== IrmCode.IRM_CREATE_IPCP);
const NAMES = ["a", "b", "", "nonesuch"];
const name = fc.constantFrom(...NAMES);
const small = fc.record({ sec: fc.constant(0n), nsec: fc.nat(2_000_000) });

/** A message whose parts fit together often enough to get past the first checks. */
const arbRequest = fc.tuple(
  arbIrmMsg,
  fc.constantFrom(...CODES),
  fc.record({ pid: fc.constantFrom(Deno.pid, Deno.pid, 1, 0, -1), name, dst: name }),
  fc.boolean(),
  small,
).map(([m, code, likely, fit, timeo]): IrmMsg => {
  if (!fit) return { ...m, code };
  const flowInfo = flowInfoOf({ ...(m.flowInfo ?? {}), nPid: Deno.pid });
  const nameInfo = { name: likely.name, polLb: 1, skey: "", scrt: "", ckey: "", ccrt: "" };
  const exec = [`/nonexistent/${m.prog?.replaceAll("/", "") ?? "x"}`, ""];
  return { ...m, ...likely, code, flowInfo, nameInfo, exec, timeo, prog: "fuzz" };
});

Deno.test("irmd survives a storm of messages from its administrator", async () => {
  const node = await TestNode.start();
  await using _node = node;
  const instance = instanceOf(node.prefix);
  const path = irmSocketPath(instance);
  let replies = 0;
  let closed = 0;
  const one = async (bytes: Uint8Array, patience: number): Promise<void> => {
    if (node.irmd!.ended) {
      throw new Error(`ended: ${(node.irmd!.out + node.irmd!.err).slice(-2000)}`);
    }
    using s = await SeqSocket.connectAsync(path, { timeoutMs: 60_000 });
    s.sendSync(bytes, 60_000);
    if (patience === 0) return; // hangs up without reading
    try {
      const r = await s.recv({ timeoutMs: patience, maxBytes: 1 << 20 });
      if (r === null) closed++;
      else {
        assertEquals(r[0], 0x08);
        assertEquals(r[1], IrmCode.IRM_REPLY);
        replies++;
      }
    } catch {
      // Still being served when patience ends.
    }
  };
  const wait = fc.constantFrom(0, 200, 200, 200);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(arbRequest, wait), { maxLength: 5 }), async (requests) => {
      await Promise.all(requests.map(([m, patience]) => one(encodeIrmMsg(m), patience)));
    }),
    { numRuns: Math.ceil(numRuns / 3) },
  );
  await fc.assert(
    fc.asyncProperty(arbIrmMsg, fc.nat(60), fc.nat(7), wait, async (m, at, bit, patience) => {
      const bytes = encodeIrmMsg(m);
      const i = at % bytes.length;
      bytes[i] = bytes[i]! ^ (1 << bit);
      if (bytes[0] === 0x08 && bytes[1] !== IrmCode.IRM_CREATE_IPCP) await one(bytes, patience);
    }),
    { numRuns: Math.ceil(numRuns / 3) },
  );
  // How many come within their patience is up to the machine.
  assert(replies > 0, "no reply at all");
  assert(closed > 0, "no message was refused as undecodable");
  const admin = new AdminClient(instance);
  await within("list of names", admin.listNames());
  assertEquals(node.irmd!.ended, undefined);
  const text = node.irmd!.out + node.irmd!.err;
  const bad = text.match(/.*(Request failed|Uncaught|TypeError|RangeError| {4}at ).*/);
  assertEquals(bad?.[0], undefined);
  const end = await node.stopIrmd();
  assertEquals(end?.code, 0);
  assertEquals(node.sharedMemory(), []);
});
