/** What the data workers of members of a layer begin and end with: the process that the main thread shares, and its letters. */

import { OuroProcess, partsOfProcess, type SharedProcess } from "../../lib/flow/process.ts";
import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { Mailbox } from "./mailbox.ts";
import type { MemberLoop, MemberLoopParts } from "./member_loop.ts";
import { report, serve } from "./worker.ts";

/** What the data worker of a member gets at its start, beside what every data worker gets. */
export interface MemberStart {
  readonly process: SharedProcess;
  readonly mailbox: SharedArrayBuffer;
}

/** Serve as {@linkcode serve}: `make` gives the loop of the type. */
export function serveMember<S extends MemberStart>(
  make: (parts: MemberLoopParts, start: S) => MemberLoop | Promise<MemberLoop>,
): void {
  serve(async (init, parts) => {
    const start = init.extra as S;
    const set = FlowSetShm.open(init.instance, init.pid);
    const process = OuroProcess.join(start.process);
    const loop = await make({
      parts,
      set,
      process: partsOfProcess(process),
      mailbox: new Mailbox(start.mailbox),
      events: {
        lower: (flowId, events) => report({ say: "lower", flowId, events }),
        carries: (flowId, bytes) => report({ say: "carries", flowId, bytes }),
        released: (flowId) => report({ say: "released", flowId }),
      },
    }, start);
    return () => {
      loop.run();
      process.close();
      set.close();
    };
  });
}
