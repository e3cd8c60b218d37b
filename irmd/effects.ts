/** Does what the registry asks for, and takes back what dead processes held (spec 20 §13, spec 10 §11.7, 11). */

import type { Daemon } from "./daemon.ts";
import { tellDealloc } from "./flow_end.ts";
import type { RingId } from "./objects.ts";
import type { Effect, ProcRecord } from "./registry/mod.ts";
import { type UnreadPackets, whenRead } from "./unread.ts";
import { RECLAIM_AFTER_MS } from "./upkeep.ts";

/** Does what a call of the registry has left to do. */
export function applyEffects(d: Daemon, effects: readonly Effect[]): void {
  for (const e of effects) {
    switch (e.kind) {
      case "rings-destroy":
        free(d, d.objects.removeRings(e.flowId, e.pids));
        break;
      case "flow-down":
        flowDown(d, e.flowId, e.pid, e.otherPid);
        break;
      case "ipcp-dealloc":
        tellDealloc(d, e.ipcpPid, e.flowId, e.timeoSec);
        break;
      case "flow-set-destroy":
        d.objects.removeFlowSet(e.pid);
        d.rib.programs?.gone(e.pid);
        d.shares.processes.give(e.flowUid);
        break;
      case "pool-destroy":
        d.objects.removePup(e.uid);
        break;
    }
  }
}

function flowDown(d: Daemon, flowId: number, pid: number, gonePid: number): void {
  const uid = d.registry.flows.get(flowId)?.uid ?? 0;
  if (uid === 0) return d.objects.flowDown(flowId, pid, gonePid);
  for (const end of [gonePid, pid]) d.objects.markDown(flowId, end);
  const unread = d.objects.emptyRing(flowId, gonePid);
  d.upkeep.flowDown(uid, d.objects.gidOf(uid), flowId, pid, unread);
}

/** Frees what nobody will read of a user's pool, now and after the time that a living end needs for its part. */
function free(d: Daemon, unread: UnreadPackets | undefined): void {
  if (unread === undefined) return;
  const { uid, living } = unread;
  const give = (offsets: number[]) => {
    // Without processes the user has no pool any more.
    if (offsets.length === 0 || !d.registry.pools.has(uid)) return;
    d.upkeep.free(uid, d.objects.gidOf(uid), offsets);
  };
  give(unread.offsets);
  for (const ring of living) whenRead(ring, give, setTimeout);
}

/** All rings that exist of processes with this flow uid. */
function rings(d: Daemon, flowUid: number): RingId[] {
  const out: RingId[] = [];
  for (const flow of d.registry.flows.all()) {
    if (flow.rings && flow.uid === flowUid) out.push([flow.nPid, flow.id], [flow.n1Pid, flow.id]);
  }
  return out;
}

/** Takes back the blocks of a dead process a moment later. */
export function reclaimLater(
  d: Daemon,
  { pid, flowUid, hadFlow }: Pick<ProcRecord, "pid" | "flowUid" | "hadFlow">,
): void {
  if (flowUid !== 0) {
    // Without processes the user has no pool any more.
    if (!d.registry.pools.has(flowUid)) return;
    return d.upkeep.reclaim(
      flowUid,
      d.objects.gidOf(flowUid),
      pid,
      rings(d, flowUid),
      hadFlow,
    );
  }
  setTimeout(() => {
    // The pid may have come back meanwhile; then its blocks are not to be told apart.
    if (d.registry.procs.has(pid)) return;
    const n = d.objects.reclaim(pid, rings(d, 0));
    if (n > 0) d.log.dbg(`Reclaimed ${n} blocks of process ${pid}.`);
  }, RECLAIM_AFTER_MS);
}
