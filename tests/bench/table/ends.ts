/** What the works of the table need of a flow or a TCP connection, in the plainest way each offers. */

import { Flow, OuroError, QOS, type QosSpec } from "../../../lib/mod.ts";

/** Numbers (and words) that a peer prints. */
export type Figures = Record<string, number | string>;

/** One end of a flow or of a connection. */
export interface End {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  send(message: Uint8Array): Promise<unknown>;
  /** A message of `size` bytes; rejects at the end. */
  receive(size: number): Promise<Uint8Array>;
  /** Bytes of what there is of messages of `size` bytes. */
  receiveSome(size: number): Promise<number>;
  /** Gives all that comes to a connection, and its end. */
  carryTo(conn: Deno.TcpConn): Promise<void>;
  /** Nothing more is sent. */
  finish(): Promise<void>;
  /** Closes when the other end has closed. */
  waitForEnd(): void;
  close(): Promise<void>;
  retransmissions?(): number;
}

/** Messages taken at once. */
const SOME_MESSAGES = 256;
/** Bytes of one write of {@linkcode End.carryTo}. */
const CARRIED_BYTES = 65536;

/** Messages that have come together go as one write. */
async function carryMessages(flow: Flow, conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(CARRIED_BYTES);
  try {
    for (;;) {
      let n = await flow.read(buffer);
      while (buffer.length - n >= flow.messageBytesMax) {
        const more = flow.readSync(buffer.subarray(n), { nonblock: true });
        if (more <= 0) break;
        n += more;
      }
      for (let at = 0; at < n;) at += await conn.write(buffer.subarray(at, n));
    }
  } catch (error) {
    if (!(error instanceof OuroError)) throw error;
  } finally {
    await conn.closeWrite().catch(() => {});
  }
}

function flowEnd(flow: Flow): End {
  return {
    get readable() {
      return flow.readableBytes;
    },
    get writable() {
      return flow.writable;
    },
    send: (message) => flow.write(message),
    receive: () => flow.read(),
    receiveSome: async () =>
      (await flow.readBatch(SOME_MESSAGES)).reduce((sum, m) => sum + m.length, 0),
    carryTo: (conn) => carryMessages(flow, conn),
    finish: () => flow.isReliable ? flow.closeWrite() : Promise.resolve(),
    waitForEnd: () => void flow.closed.then(() => flow.dealloc()).catch(() => {}),
    close: () => flow.dealloc({ lingerMs: 2000 }),
    retransmissions: () => flow.frctStats?.retransmissions ?? 0,
  };
}

function tcpEnd(conn: Deno.TcpConn): End {
  conn.setNoDelay(true);
  let buffer = new Uint8Array(0);
  const receive = async (size: number) => {
    if (buffer.length < size) buffer = new Uint8Array(size);
    for (let at = 0; at < size;) {
      const n = await conn.read(buffer.subarray(at, size));
      if (n === null) throw new Error("the connection has ended");
      at += n;
    }
    return size === buffer.length ? buffer : buffer.subarray(0, size);
  };
  const large = new Uint8Array(65536);
  return {
    readable: conn.readable,
    writable: conn.writable,
    async send(message) {
      for (let at = 0; at < message.length;) at += await conn.write(message.subarray(at));
    },
    receive,
    async receiveSome() {
      const n = await conn.read(large);
      if (n === null) throw new Error("the connection has ended");
      return n;
    },
    carryTo: (to) => conn.readable.pipeTo(to.writable),
    finish: () => conn.closeWrite(),
    waitForEnd: () => void conn.read(new Uint8Array(1)).catch(() => {}).then(() => conn.close()),
    close: () => {
      try {
        conn.close();
      } catch {
        // Its streams have closed it.
      }
      return Promise.resolve();
    },
  };
}

/** What kind of flow `flow:NAME` asks for: `flow:raw:NAME`, or a reliable one. */
function flowOf(words: string[]): { qos: QosSpec; name: string } {
  if (words[1] === "raw") return { qos: QOS.raw, name: words[2]! };
  return { qos: QOS.data, name: words[1]! };
}

/** Opens an end. */
export async function openEnd(where: string): Promise<End> {
  const words = where.split(":");
  if (words[0] === "flow") {
    const { qos, name } = flowOf(words);
    return flowEnd(await Flow.alloc(name, { qos, timeoutMs: 20_000 }));
  }
  return tcpEnd(await Deno.connect({ hostname: words[1]!, port: Number(words[2]) }));
}

/** Ends as they come; `ready` when the first may. */
export async function* serveEnds(where: string, ready: () => void): AsyncGenerator<End> {
  const words = where.split(":");
  if (words[0] === "flow") {
    const flows = Flow.listen();
    ready();
    for await (const flow of flows) yield flowEnd(flow);
    return;
  }
  const listener = Deno.listen({ hostname: words[1]!, port: Number(words[2]) });
  ready();
  for await (const conn of listener) yield tcpEnd(conn);
}
