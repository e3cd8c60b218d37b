/** What `ocat` joins to a flow: standard input and output, a command, a TCP connection. */

import { fileCause } from "../../lib/cli/reason.ts";
import type { Side } from "./options.ts";

/** The near end of a flow. */
export interface Local {
  /** What is to be sent; its end is told to the peer. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Takes all of what came; rejects when nobody reads it any more. */
  write(bytes: Uint8Array): Promise<void>;
  /** The peer sends no more. */
  closeWrite(): Promise<void>;
  /** Ends both directions at once. */
  abort(): void;
  /** The exit code of a command, once it has ended; never for others. */
  readonly ended: Promise<number>;
}

const NEVER = new Promise<number>(() => {});

/** A side that could not be made; the message is one line. */
export class SideError extends Error {}

interface Writer {
  write(bytes: Uint8Array): Promise<number>;
}

async function writeAll(to: Writer, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

function stdio(): Local {
  return {
    readable: Deno.stdin.readable,
    write: (bytes) => writeAll(Deno.stdout, bytes),
    // The process ends soon, and somebody may wait for the end of what it wrote until then.
    closeWrite: () => Promise.resolve(Deno.stdout.close()),
    abort: () => {},
    ended: NEVER,
  };
}

function exec(command: string): Local {
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", command],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const input = child.stdin.getWriter();
  // A command that does not read its input says nothing about its output.
  input.closed.catch(() => {});
  return {
    readable: child.stdout,
    write: (bytes) => input.write(bytes).catch(() => {}),
    closeWrite: () => input.close().catch(() => {}),
    abort: () => {
      input.abort().catch(() => {});
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended.
      }
    },
    ended: child.status.then(({ code }) => code),
  };
}

/** Bytes that are read from a connection at once. */
const CHUNK_BYTES = 65_536;

/** What comes on a connection. The runtime's own stream closes both directions with the one that ends. */
function readableOf(connection: Deno.TcpConn): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const buffer = new Uint8Array(CHUNK_BYTES);
      const n = await connection.read(buffer);
      if (n === null) controller.close();
      else controller.enqueue(buffer.subarray(0, n));
    },
  }, { highWaterMark: 0 });
}

/** The near end of a TCP connection. */
export function tcp(connection: Deno.TcpConn): Local {
  return {
    readable: readableOf(connection),
    write: (bytes) => writeAll(connection, bytes),
    closeWrite: () => connection.closeWrite(),
    abort: () => {
      try {
        connection.close();
      } catch {
        // It is closed.
      }
    },
    ended: NEVER,
  };
}

/** Makes the near end for one flow. Rejects with a `SideError`. */
export async function openSide(side: Exclude<Side, { kind: "tcp-listen" }>): Promise<Local> {
  switch (side.kind) {
    case "stdio":
      return stdio();
    case "exec":
      return exec(side.command);
    case "tcp-connect": {
      const { hostname, port } = side.address;
      try {
        return tcp(await Deno.connect({ hostname, port }));
      } catch (error) {
        throw new SideError(`Failed to connect to ${hostname}:${port}: ${fileCause(error)}`);
      }
    }
  }
}
