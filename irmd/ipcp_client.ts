/**
 * Requests to an IPCP over its command socket (spec 20 §2.2, §9): one connection, one packet, one reply.
 * Nothing here waits without limit, connecting included (spec 20 §19.15).
 */

import { Errno, errnoText } from "../lib/errno.ts";
import { type Instance, ipcpSocketPath } from "../lib/instance.ts";
import { decodeIpcpMsg, encodeIpcpMsg, IpcpCode, type IpcpMsg } from "../lib/irm/messages.ts";
import { MESSAGE_BYTES_MAX } from "../lib/limits.ts";
import type { Logger } from "../lib/log.ts";
import { SysError } from "../lib/sys/ffi.ts";
import { pidAlive } from "../lib/sys/process.ts";
import { SeqSocket } from "../lib/sys/socket.ts";
import { isWireError } from "../lib/wire/mod.ts";

/**
 * Time for each reply, ms (spec 20 §9). Some get more than the prototype gives them: a busy host is no reason to lose a
 * flow, and an answer that needs pieces asks the far end first whether it takes them.
 */
export const REPLY_MS = {
  bootstrap: 5000,
  enroll: 20000,
  connect: 20000,
  disconnect: 3000,
  reg: 20000,
  unreg: 500,
  // What a query is waited for in the first place is QUERY_MS in flow_alloc.ts.
  query: 2000,
  alloc: 20000,
  join: 500,
  alloc_resp: 3000,
  dealloc: 4,
  losses: 500,
} as const;

/** How long a dealloc that finds the IPCP's queue full is tried again, ms. */
const DEALLOC_RETRY_MS = 30_000;

/** What is asked; the word stands in the log. */
export type IpcpCall = keyof typeof REPLY_MS;

/** Calls whose time-out is nothing to report. */
const SILENT: ReadonlySet<IpcpCall> = new Set(["query", "dealloc", "losses"]);

/** The reply, or why there is none. */
export type IpcpReply =
  | { readonly kind: "reply"; readonly result: number; readonly msg: IpcpMsg }
  | { readonly kind: "silent" | "unreachable"; readonly cause: string };

/** Sends requests to the IPCPs of an instance. */
export class IpcpClient {
  /** By IPCP and flow: requests that wait for a place in the IPCP's queue. */
  readonly #unsent = new Map<string, Promise<void>>();

  /** @param patience how many times as long answers are waited for (`irmd --patience`) */
  constructor(readonly instance: Instance, readonly log: Logger, readonly patience = 1) {}

  /**
   * Asks an IPCP.
   * @param limitMs no longer than this, whatever the call's own time
   */
  async call(
    pid: number,
    call: IpcpCall,
    msg: IpcpMsg,
    limitMs = Infinity,
  ): Promise<IpcpReply> {
    if (!pidAlive(pid)) return { kind: "unreachable", cause: `IPCP ${pid} is not running` };
    // A dealloc does not wait for its answer in earnest.
    const ownMs = REPLY_MS[call] * (call === "dealloc" ? 1 : this.patience);
    const timeoutMs = Math.min(ownMs, limitMs);
    const endMs = performance.now() + timeoutMs;
    const path = ipcpSocketPath(this.instance, pid);
    const flow = `${pid} ${msg.flowId}`;
    // A dealloc that overtook the request it takes back would leave the flow in the IPCP for ever.
    if (call === "dealloc") await this.#unsent.get(flow);
    let sentNow: (() => void) | undefined;
    try {
      const now = SeqSocket.tryConnect(path);
      if (now === null && msg.flowId !== undefined && call !== "dealloc") {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#unsent.set(flow, promise);
        sentNow = () => {
          if (this.#unsent.get(flow) === promise) this.#unsent.delete(flow);
          resolve();
        };
      }
      if (now === null && call === "dealloc") {
        void this.#sendLater(path, encodeIpcpMsg(msg));
        return { kind: "silent", cause: `IPCP ${pid} is busy` };
      }
      using socket = now ?? await SeqSocket.connectAsync(path, { timeoutMs });
      const sent = socket.trySend(encodeIpcpMsg(msg));
      sentNow?.();
      if (sent < 0) throw new SysError(-sent, "send", path);
      const left = Math.max(0, endMs - performance.now());
      const bytes = await socket.recv({ timeoutMs: left, maxBytes: MESSAGE_BYTES_MAX });
      return this.#parse(pid, bytes);
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      if (e.errno === Errno.ETIMEDOUT) {
        if (!SILENT.has(call)) {
          this.log.warn(`IPCP ${pid} ${call} timed out after ${ownMs} ms.`);
        }
        return {
          kind: "silent",
          cause: `IPCP ${pid} did not answer in ${Math.ceil(timeoutMs)} ms`,
        };
      }
      return {
        kind: "unreachable",
        cause: `cannot talk to IPCP ${pid}: ${errnoText(e.errno)}`,
      };
    } finally {
      sentNow?.();
    }
  }

  /** Sends what must not be lost, because the IPCP would keep the flow for ever; nobody waits for it. */
  async #sendLater(path: string, bytes: Uint8Array): Promise<void> {
    try {
      using socket = await SeqSocket.connectAsync(path, { timeoutMs: DEALLOC_RETRY_MS });
      socket.trySend(bytes);
    } catch (e) {
      if (!(e instanceof SysError)) throw e; // It has gone, or hangs: its flow expires.
    }
  }

  #parse(pid: number, bytes: Uint8Array | null): IpcpReply {
    if (bytes === null) {
      this.log.error("Did not receive message.");
      return { kind: "unreachable", cause: `IPCP ${pid} hung up` };
    }
    const msg = decodeIpcpMsg(bytes);
    if (isWireError(msg) || msg.code !== IpcpCode.IPCP_REPLY || msg.result === undefined) {
      return { kind: "unreachable", cause: `the answer of IPCP ${pid} makes no sense` };
    }
    return { kind: "reply", result: msg.result, msg };
  }
}

/** The result of a reply; no reply counts as -EIPCP. */
export function resultOf(r: IpcpReply): number {
  return r.kind === "reply" ? r.result : -Errno.EIPCP;
}

/** One line on why a call failed: what the IPCP said, or why it said nothing. */
export function causeOf(r: IpcpReply): string {
  if (r.kind !== "reply") return r.cause;
  return r.msg.error?.cause ?? plainCause(r.result);
}

/** What the number alone means when an IPCP says it. */
function plainCause(result: number): string {
  switch (result) {
    case -Errno.EPERM:
      return "it refused and gave no reason";
    case -Errno.EIPCPSTATE:
      return "it is in no layer, or in one already";
    case -Errno.ENOTSUP:
      return "an IPCP of its type cannot do that";
  }
  return errnoText(result);
}

/** Who says so: the IPCP when it does, else this daemon. */
export function processOf(r: IpcpReply, fallback: string): string {
  return r.kind === "reply" ? r.msg.error?.process ?? fallback : "irmd";
}
