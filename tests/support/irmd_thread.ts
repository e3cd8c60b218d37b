/** The thread of {@linkcode ThreadIrmd}: answers at the socket, and tells what it was asked. */

import { instanceOf, irmSocketPath } from "../../lib/instance.ts";
import { decodeIrmMsg, encodeIrmMsg, IrmCode, type IrmMsg } from "../../lib/irm/messages.ts";
import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { SeqListener } from "../../lib/sys/socket.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import type { ThreadOrder, ThreadReport } from "./thread_irmd.ts";

const scope = globalThis as unknown as {
  onmessage: ((e: MessageEvent<ThreadOrder>) => void) | null;
  postMessage(report: ThreadReport): void;
  close(): void;
};

const answers = new Map<number, Partial<IrmMsg>>();
let end: () => void = () => {};

scope.onmessage = ({ data }) => {
  if (data.kind === "end") {
    end();
    scope.postMessage({ kind: "ended" });
    return scope.close();
  }
  if (data.kind === "answer") {
    answers.set(data.code, data.reply);
    return scope.postMessage({ kind: "ready" });
  }
  const instance = instanceOf(data.prefix);
  Deno.mkdirSync(instance.socketDir, { recursive: true });
  const listener = SeqListener.listen(irmSocketPath(instance), 0o666, 64);
  const watch = listener.onConnection(async (socket) => {
    const bytes = await socket.recv({}).catch(() => null);
    const m = bytes === null ? undefined : decodeIrmMsg(bytes);
    if (m !== undefined && !isWireError(m)) {
      if (m.code === IrmCode.IRM_PROC_ANNOUNCE) FlowSetShm.create(instance, m.pid!).close();
      scope.postMessage({ kind: "said", message: m });
      socket.trySend(encodeIrmMsg({ code: IrmCode.IRM_REPLY, result: 0, ...answers.get(m.code) }));
    }
    socket.close();
  }, () => {});
  end = () => {
    watch.close();
    listener.close();
  };
  scope.postMessage({ kind: "ready" });
};
