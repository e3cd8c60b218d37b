/**
 * One request to the IRMd and its reply (spec 20 §2): connect, send one packet, receive one packet, close.
 *
 * Replies longer than 10240 bytes (lists) are read whole. A reply is returned whatever its `result`; an exception
 * means that there is none: `OuroError` -1002 when the IRMd cannot be reached or does not answer as it should,
 * -110 when the time is over.
 */

import { NOT_RUNNING } from "../cli/reason.ts";
import { Errno, OuroError } from "../errno.ts";
import { type Instance, instanceOf, irmSocketPath } from "../instance.ts";
import { SysError } from "../sys/ffi.ts";
import { SeqSocket } from "../sys/socket.ts";
import { isWireError } from "../wire/mod.ts";
import { type KeptConnections, neverRead } from "./kept.ts";
import { decodeIrmMsg, encodeIrmMsg, IrmCode, irmCodeName, type IrmMsg } from "./messages.ts";

/** When to give up. */
export interface RequestOptions {
  /** Closes the connection, which makes the IRMd cancel what it does for us; rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds for the whole exchange; absent: as long as it takes. */
  timeoutMs?: number | undefined;
}

/** And where the connection comes from, and stays when the IRMd leaves it open. */
export interface KeepingOptions extends RequestOptions {
  kept?: KeptConnections | undefined;
}

/** Longest reply accepted, bytes. */
const REPLY_BYTES_MAX = 1 << 20;
/** Send buffer asked for when a request is longer than the kernel's default takes in one packet, bytes. */
const BIG_REQUEST_BYTES = 100_000;

/** Longest wait for an IRMd that does not take a message without answer, ms. */
const HOLD_MS = 1000;

/** A request on its way: what those who wait for the reply and those who block for it have in common. */
class Asking {
  readonly #bytes: Uint8Array;
  readonly #endMs: number;
  readonly path: string;

  constructor(
    instance: Instance,
    private readonly msg: IrmMsg,
    private readonly opts: KeepingOptions,
  ) {
    const { timeoutMs } = opts;
    this.#endMs = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
    this.#bytes = encodeIrmMsg(msg);
    this.path = irmSocketPath(instance);
  }

  /** Undefined: as long as it takes. */
  leftMs(): number | undefined {
    return this.#endMs === Infinity ? undefined : Math.max(0, this.#endMs - performance.now());
  }

  send(socket: SeqSocket): void {
    const { length } = this.#bytes;
    if (length > BIG_REQUEST_BYTES) socket.setSendBuffer(length * 2);
    socket.sendSync(this.#bytes, this.leftMs());
  }

  /** What the reply says; the connection is kept or closed. */
  took(socket: SeqSocket, bytes: Uint8Array | null): IrmMsg {
    const reply = parse(this.msg, bytes);
    if (this.opts.kept === undefined) socket.close();
    else this.opts.kept.give(socket, reply);
    return reply;
  }
}

/** Sends a request and waits for the reply without blocking the thread. */
export async function irmRequest(
  instance: Instance,
  msg: IrmMsg,
  opts: KeepingOptions = {},
): Promise<IrmMsg> {
  const { kept, signal } = opts;
  const asking = new Asking(instance, msg, opts);
  signal?.throwIfAborted();
  const exchange = async (socket: SeqSocket) => {
    try {
      asking.send(socket);
      return asking.took(socket, await recvReply(socket, signal, asking.leftMs()));
    } catch (e) {
      socket.close();
      throw e;
    }
  };
  try {
    const again = kept?.take();
    try {
      if (again !== undefined) return await exchange(again);
    } catch (e) {
      if (!neverRead(e)) throw e;
    }
    return await exchange(
      SeqSocket.tryConnect(asking.path) ??
        await SeqSocket.connectAsync(asking.path, { signal, timeoutMs: asking.leftMs() }),
    );
  } catch (e) {
    throw explain(e, msg, asking.path);
  }
}

/**
 * The reply. One that came before the signal or the end of the time was seen counts: the IRMd holds it for delivered,
 * and a flow that it grants would otherwise be nobody's.
 */
async function recvReply(
  socket: SeqSocket,
  signal: AbortSignal | undefined,
  timeoutMs: number | undefined,
): Promise<Uint8Array | null> {
  try {
    return await socket.recv({ signal, timeoutMs, maxBytes: REPLY_BYTES_MAX });
  } catch (e) {
    const last = socket.lastRecv(REPLY_BYTES_MAX);
    if (last instanceof Uint8Array) return last;
    throw e;
  }
}

/** Sends a request and blocks the thread until the reply is there. */
export function irmRequestSync(
  instance: Instance,
  msg: IrmMsg,
  opts: Omit<KeepingOptions, "signal"> = {},
): IrmMsg {
  const asking = new Asking(instance, msg, opts);
  const exchange = (socket: SeqSocket) => {
    try {
      asking.send(socket);
      return asking.took(socket, socket.recvSync(REPLY_BYTES_MAX, asking.leftMs()));
    } catch (e) {
      socket.close();
      throw e;
    }
  };
  try {
    const again = opts.kept?.take();
    try {
      if (again !== undefined) return exchange(again);
    } catch (e) {
      if (!neverRead(e)) throw e;
    }
    return exchange(SeqSocket.connect(asking.path, opts.timeoutMs));
  } catch (e) {
    throw explain(e, msg, asking.path);
  }
}

/** An exchange that the IRMd has begun to answer. */
export interface Conversation {
  /** What it said. */
  readonly said: IrmMsg;
  /** Answers it, and waits for the reply. Rejects with `OuroError`. */
  answer(msg: IrmMsg): Promise<IrmMsg>;
  /** Hangs up. Idempotent. */
  close(): void;
}

/** As {@linkcode irmRequest} for a request whose reply comes after a question of the IRMd. */
export async function irmConverse(
  instance: Instance,
  msg: IrmMsg,
  signal?: AbortSignal,
): Promise<Conversation> {
  const path = irmSocketPath(instance);
  signal?.throwIfAborted();
  let socket: SeqSocket | undefined;
  const told = async (m: IrmMsg, signal?: AbortSignal) => {
    try {
      socket ??= SeqSocket.tryConnect(path) ?? await SeqSocket.connectAsync(path, { signal });
      socket.sendSync(encodeIrmMsg(m));
      return parse(m, await recvReply(socket, signal, undefined));
    } catch (e) {
      socket?.close();
      throw explain(e, m, path);
    }
  };
  const said = await told(msg, signal);
  return {
    said,
    answer: async (m) => {
      try {
        return await told(m);
      } finally {
        socket?.close();
      }
    },
    close: () => socket?.close(),
  };
}

/** Sends a request that has no answer and keeps the connection, whose end says that the caller has gone. */
export function irmHold(instance: Instance, msg: IrmMsg): { readonly fd: number; close(): void } {
  const path = irmSocketPath(instance);
  try {
    const socket = SeqSocket.connect(path, HOLD_MS);
    socket.sendSync(encodeIrmMsg(msg), HOLD_MS);
    return { fd: socket.fd.raw, close: () => socket.close() };
  } catch (e) {
    throw explain(e, msg, path);
  }
}

function parse(msg: IrmMsg, reply: Uint8Array | null): IrmMsg {
  const action = actionOf(msg);
  if (reply === null) {
    throw noIrmd(action, "the IRMd ended, or closed the connection without an answer");
  }
  const m = decodeIrmMsg(reply);
  if (isWireError(m)) throw noIrmd(action, `the IRMd's answer makes no sense: ${m}`);
  if (m.code !== IrmCode.IRM_REPLY) {
    throw noIrmd(action, `the IRMd's answer makes no sense: code ${irmCodeName(m.code)}`);
  }
  return m;
}

/** What a failure means; anything but a failed system call passes through. */
function explain(e: unknown, msg: IrmMsg, path: string): unknown {
  if (!(e instanceof SysError)) return e;
  const action = actionOf(msg);
  if (e.errno === Errno.ETIMEDOUT) return new OuroError(-Errno.ETIMEDOUT, action);
  if (e.call === "connect" && (e.errno === Errno.ENOENT || e.errno === Errno.ECONNREFUSED)) {
    return noIrmd(action, notRunning(path));
  }
  if (e.call === "connect" && e.errno === Errno.EACCES) {
    return noIrmd(action, `${path} does not let this user in`);
  }
  return noIrmd(action, e.message);
}

/** Names the place where an IRMd was looked for, unless it is the usual one. */
function notRunning(path: string): string {
  if (path === irmSocketPath(instanceOf(""))) return NOT_RUNNING;
  return `${NOT_RUNNING}; nobody listens at ${path}`;
}

function noIrmd(action: string, cause: string): OuroError {
  return new OuroError(-Errno.EIRMD, action, { stage: "connect", process: "irmd", cause });
}

function actionOf(msg: IrmMsg): string {
  return `Cannot ask the IRMd for ${irmCodeName(msg.code)}`;
}
