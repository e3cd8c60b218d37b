/**
 * `ocat`: joins flows to standard input and output, to commands or to TCP connections, as client and as
 * server of a name.
 */

import { fileCause } from "../../lib/cli/reason.ts";
import { OuroError } from "../../lib/errno.ts";
import { Flow } from "../../lib/flow/flow.ts";
import type { OuroProcess } from "../../lib/flow/process.ts";
import { AdminClient } from "../../lib/irm/admin.ts";
import { acceptFlows } from "../accept.ts";
import { complain, reason } from "../console.ts";
import { commandOf, leave, openProcess, qosOf, Stop, whyNoFlow } from "../session.ts";
import { join, type Joint } from "./bridge.ts";
import { type Address, type OcatOptions, parseOcat, type Side } from "./options.ts";
import { type Local, openSide, SideError, tcp } from "./side.ts";

/** Exit code of a program whose output nobody reads. */
const UNREAD = 141;
/** Flows that may come at the same moment, as TCP connections do. */
const ACCEPTS = 32;
/** Longest wait for the IRMd when the name is bound, ms. */
const ADMIN_MS = 10_000;

/** Runs `ocat`; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const command = commandOf(args, parseOcat);
  if (typeof command === "number") return command;
  command.options.warnings.forEach(complain);
  using process = openProcess("ocat");
  if (!process) return 1;
  using stop = new Stop();
  return await new Ocat(command.options, process, stop).run();
}

class Ocat {
  /** Flows that are joined now. */
  readonly #joints = new Set<Promise<number>>();

  constructor(
    readonly o: OcatOptions,
    readonly process: OuroProcess,
    readonly stop: Stop,
  ) {}

  async run(): Promise<number> {
    const { o } = this;
    let listener: Deno.TcpListener | undefined;
    try {
      if (o.side.kind === "tcp-listen") listener = this.#listen(o.side.address);
      if (o.listen) return await this.#serve(listener);
      return listener === undefined ? await this.#connect(o.side) : await this.#forward(listener);
    } catch (error) {
      if (!(error instanceof SideError)) throw error;
      complain(error.message);
      return 1;
    } finally {
      close(listener);
      await Promise.all(this.#joints);
    }
  }

  /** Waits for TCP connections; closed by the stop. */
  #listen({ hostname, port }: Address): Deno.TcpListener {
    try {
      const listener = Deno.listen({ hostname, port });
      const { port: bound } = listener.addr;
      complain(`Listening on ${hostname}:${bound}`);
      this.stop.signal.addEventListener("abort", () => close(listener));
      return listener;
    } catch (error) {
      throw new SideError(`Failed to listen on ${hostname}:${port}: ${fileCause(error)}`);
    }
  }

  /** A client with one flow. */
  async #connect(side: Side): Promise<number> {
    const flow = await this.#alloc();
    if (flow === undefined) return 1;
    let local: Local;
    try {
      local = await openSide(side as Exclude<Side, { kind: "tcp-listen" }>);
    } catch (error) {
      await leave(flow, this.stop);
      throw error;
    }
    const code = await this.#join(flow, local);
    return code === 0 && side.kind === "exec" ? await local.ended : code;
  }

  /** A client with a flow for each TCP connection. */
  async #forward(listener: Deno.TcpListener): Promise<number> {
    for (;;) {
      const connection = await nextConnection(listener);
      if (connection === undefined) return 0;
      const local = tcp(connection);
      const joint = this.#full()
        ? Promise.resolve(1)
        : this.#alloc().then((flow) => flow === undefined ? 1 : this.#join(flow, local));
      this.#track(joint.finally(() => local.abort()));
      if (this.o.once) return await joint;
    }
  }

  async #alloc(): Promise<Flow | undefined> {
    const { name, qos, timeoutMs, keepaliveMs } = this.o;
    const { signal } = this.stop;
    try {
      return await Flow.alloc(name, { qos: qosOf(qos), signal, timeoutMs, keepaliveMs });
    } catch (error) {
      complain(`Failed to allocate flow: ${whyNoFlow(error, this.stop)}`);
      return undefined;
    }
  }

  /** A server: a near end for each flow. */
  async #serve(listener: Deno.TcpListener | undefined): Promise<number> {
    const { o, stop } = this;
    if (o.bind && !await this.#bindName()) return 1;
    complain(`Serving ${o.name}`);
    const one = o.once || o.side.kind === "stdio";
    let first: Promise<number> | undefined;
    const code = await acceptFlows(
      { process: this.process, keepaliveMs: o.keepaliveMs },
      stop,
      (flow) => {
        if (this.#full()) {
          this.#track(leave(flow, stop).then(() => 1));
          return "go on";
        }
        const joint = this.#serveOne(flow, listener);
        first ??= joint;
        this.#track(joint);
        return one ? "enough" : "go on";
      },
      one ? 1 : ACCEPTS,
    );
    return one && first !== undefined ? await first : code;
  }

  async #serveOne(flow: Flow, listener: Deno.TcpListener | undefined): Promise<number> {
    const { side } = this.o;
    let local: Local | undefined;
    try {
      if (side.kind === "tcp-listen") {
        const connection = await nextConnection(listener!);
        local = connection === undefined ? undefined : tcp(connection);
      } else local = await openSide(side);
    } catch (error) {
      if (!(error instanceof SideError)) throw error;
      complain(error.message);
    }
    if (local === undefined) {
      await leave(flow, this.stop);
      return 1;
    }
    const code = await this.#join(flow, local);
    if (side.kind !== "stdio") local.abort();
    return code;
  }

  /** Makes the name if it is not there, and binds this process to it. */
  async #bindName(): Promise<boolean> {
    const { name } = this.o;
    const admin = new AdminClient(undefined, { timeoutMs: ADMIN_MS });
    const paths = { skey: "", scrt: "", ckey: "", ccrt: "", senc: "", cenc: "" };
    try {
      await admin.createName({ name, polLb: 0, ...paths });
      await admin.bindProcess(this.process.pid, name);
      return true;
    } catch (error) {
      if (!(error instanceof OuroError)) throw error;
      complain(
        `Failed to bind name "${name}": ${reason(error)} ` +
          `(--no-bind where an administrator has: irm bind program ocat name NAME)`,
      );
      return false;
    }
  }

  #full(): boolean {
    const full = this.#joints.size >= this.o.maxFlows;
    if (full) complain(`Refused a flow: ${this.o.maxFlows} are joined already`);
    return full;
  }

  #track(joint: Promise<number>): void {
    const tracked = joint.finally(() => this.#joints.delete(tracked));
    this.#joints.add(tracked);
  }

  /** Joins and closes the flow; the exit code. */
  async #join(flow: Flow, local: Local): Promise<number> {
    const joint = await join(flow, local, this.stop.signal);
    if (joint.kind === "complete") await leave(flow, this.stop);
    // The peer must not take what is cut short for the whole.
    else flow.abandon();
    return codeOf(joint);
  }
}

function codeOf(joint: Joint): number {
  switch (joint.kind) {
    case "complete":
      return 0;
    case "stopped":
      return 0;
    case "unread":
      return UNREAD;
    case "broken":
      complain(`The connection broke: ${joint.cause}`);
      return 1;
  }
}

/** The next connection; undefined when the listener is closed. */
async function nextConnection(listener: Deno.TcpListener): Promise<Deno.TcpConn | undefined> {
  try {
    return await listener.accept();
  } catch (error) {
    if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
      return undefined;
    }
    throw new SideError(`Failed to accept a TCP connection: ${fileCause(error)}`);
  }
}

function close(listener: Deno.TcpListener | undefined): void {
  try {
    listener?.close();
  } catch {
    // It is closed.
  }
}
