/**
 * Serving a name in one call: the name is made, bound to the process and registered with the layers, and each flow to it
 * goes to a handler.
 */

import { Errno, OuroError } from "../errno.ts";
import { AdminClient } from "../irm/admin.ts";
import type { Flow } from "./flow.ts";
import type { FlowRequest } from "./flow_request.ts";
import type { FlowOptions } from "./options.ts";
import { OuroProcess } from "./process.ts";

/** What is done with a flow; it is closed when this returns or the promise settles. */
export type FlowHandler = (flow: Flow) => void | Promise<void>;

/** How a name is served. */
export interface ServeOptions extends FlowOptions {
  /**
   * Layers to register the name with, by name; absent: all that this node is a member of. With `[]` it is served on this
   * host alone.
   */
  layers?: readonly string[] | undefined;
  /** The name exists and is bound to this program: nothing is asked of the IRMd that needs its administrator. */
  bound?: boolean | undefined;
  /**
   * Looks at each request before it is accepted: false refuses it, a text refuses it with that reason. Absent: all are
   * accepted.
   */
  admit?: ((request: FlowRequest) => boolean | string | Promise<boolean | string>) | undefined;
  /** Hears what a handler throws, but for the end of its flow; absent: `console.error`. */
  onError?: ((error: unknown) => void) | undefined;
}

/** A name that is served; dispose of it to end. */
export interface FlowServer extends AsyncDisposable {
  /** The name. */
  readonly name: string;
  /** Resolves when the server has ended; rejects with `OuroError` when the IRMd is lost. */
  readonly finished: Promise<void>;
  /** Takes no more flows, waits for the handlers that run, and takes the binding back. */
  shutdown(): Promise<void>;
}

/** The end of a flow is no failure of its handler. */
const ENDS: ReadonlySet<number> = new Set([-Errno.EFLOWDOWN, -Errno.EFLOWPEER, -Errno.ENOTALLOC]);

/** How flows come: accepted already, or to be looked at. */
export interface Incoming {
  listen(options: FlowOptions): AsyncGenerator<Flow, void, void>;
  requests(options: FlowOptions): AsyncGenerator<FlowRequest, void, void>;
}

/** Serves a name, see `Flow.serve`. */
export async function serveName(
  name: string,
  handler: FlowHandler,
  options: ServeOptions,
  incoming: Incoming,
): Promise<FlowServer> {
  const process = options.process ?? OuroProcess.current();
  const admin = new AdminClient(process.instance, { signal: options.signal });
  if (options.bound !== true) await publish(admin, process, name, options.layers);
  const stop = new AbortController();
  const { signal } = options;
  const running = new Set<Promise<void>>();
  // deno-lint-ignore no-console -- where nobody listens, the terminal is told
  const onError = options.onError ?? ((e: unknown) => console.error(e));
  const serve = async () => {
    const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    const run = (work: Promise<void>) => {
      const done = work.finally(() => running.delete(done));
      running.add(done);
    };
    const { admit } = options;
    const o = { ...options, process, signal: either };
    if (admit === undefined) {
      for await (const flow of incoming.listen(o)) run(handle(flow, handler, onError));
    } else {
      for await (const request of incoming.requests(o)) {
        run(decide(request, admit, handler, onError));
      }
    }
    await Promise.all(running);
  };
  const finished = serve();
  const shutdown = async () => {
    stop.abort();
    await finished;
    if (options.bound === true || process.closed) return;
    // The name stays, for the next who serves it; who is gone with the IRMd has nothing to take back.
    await new AdminClient(process.instance).unbindProcess(process.pid, name).catch(() => {});
  };
  return { name, finished, shutdown, [Symbol.asyncDispose]: shutdown };
}

async function handle(
  flow: Flow,
  handler: FlowHandler,
  onError: (error: unknown) => void,
): Promise<void> {
  try {
    await handler(flow);
  } catch (e) {
    if (!(e instanceof OuroError && ENDS.has(e.code))) onError(e);
  }
  await flow.dealloc().catch(() => {});
}

async function decide(
  request: FlowRequest,
  admit: NonNullable<ServeOptions["admit"]>,
  handler: FlowHandler,
  onError: (error: unknown) => void,
): Promise<void> {
  let flow: Flow;
  try {
    await using asked = request;
    const verdict = await admit(asked);
    if (verdict !== true) {
      return await asked.refuse(verdict === false ? {} : { reason: verdict });
    }
    flow = await asked.accept();
  } catch (e) {
    // Who asked may have given up.
    if (!(e instanceof OuroError)) onError(e);
    return;
  }
  await handle(flow, handler, onError);
}

async function publish(
  admin: AdminClient,
  process: OuroProcess,
  name: string,
  layers: readonly string[] | undefined,
): Promise<void> {
  await admin.createName(name);
  await admin.bindProcess(process.pid, name);
  const missing = new Set(layers);
  for (const { layer, pid } of layers?.length === 0 ? [] : await admin.listIpcps()) {
    if (layers === undefined) {
      // One that has no layer yet takes no names.
      await admin.regName(name, pid).catch(() => {});
    } else if (layers.includes(layer)) {
      await admin.regName(name, pid);
      missing.delete(layer);
    }
  }
  if (missing.size === 0) return;
  throw new OuroError(-Errno.EINVAL, `Cannot serve ${JSON.stringify(name)}`, {
    stage: "register",
    process: "flow library",
    cause: `no IPCP here is a member of layer ${JSON.stringify([...missing][0])}`,
  });
}
