/**
 * The flow library: what applications import.
 *
 * @example A server that answers every message, and its client
 * ```ts
 * import { Flow, QOS } from "@ouro/ouro";
 *
 * async function serve(flow: Flow): Promise<void> {
 *   await using f = flow;
 *   for await (const message of f.readable) await f.write(message);
 * }
 *
 * async function server(signal?: AbortSignal): Promise<void> {
 *   for await (const flow of Flow.listen({ signal })) serve(flow);
 * }
 *
 * async function client(name: string): Promise<string> {
 *   await using flow = await Flow.alloc(name, { qos: QOS.data, timeoutMs: 5000 });
 *   await flow.write(new TextEncoder().encode("hello"));
 *   return new TextDecoder().decode(await flow.read());
 * }
 *
 * const stop = new AbortController();
 * const serving = server(stop.signal);
 * console.log(await client("echo"));
 * stop.abort();
 * await serving;
 * ```
 *
 * @module
 */

import "./runtime.ts";

export {
  Errno,
  type ErrnoName,
  errnoName,
  errnoText,
  type ErrorDetail,
  OuroError,
} from "./errno.ts";
export { currentInstance, type Instance, instanceOf } from "./instance.ts";
export { QOS, QOS_CUBES, qosCube, type QosName, type QosSpec } from "./qos.ts";
export { FrctFlag, type FrctStats } from "./frct/endpoint.ts";
export { frctStatsText } from "./frct/rib.ts";
export { FLOW_FLAGS_DEFAULT, FlowFlag } from "./flow/flags.ts";
export { Flow } from "./flow/flow.ts";
export { FlowRequest, type RefuseOptions } from "./flow/flow_request.ts";
export type {
  AsyncCallOptions,
  CallOptions,
  DeallocOptions,
  FlowAbout,
  FlowOptions,
  FlowText,
  PeerInfo,
  SharedFlow,
} from "./flow/options.ts";
export type { FlowInfo, FlowLosses, SduLimits } from "./irm/messages.ts";
export type { GrantOptions } from "./flow/grant.ts";
export type { FlowCounters } from "./flow/outlet.ts";
export { type FlowHandler, type FlowServer, type ServeOptions } from "./flow/serve.ts";
export { FlowSet, type FlowSetEvent } from "./flow/flow_set.ts";
export { Packet } from "./flow/packet.ts";
export { OuroProcess, type OuroProcessOptions, type SharedProcess } from "./flow/process.ts";
export { FlowEvent } from "./shm/layout.ts";
