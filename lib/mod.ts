/**
 * The flow library: what applications import.
 *
 * @example A server that answers every message
 * ```ts ignore
 * import { Flow } from "@ouro/ouro";
 *
 * for await (const flow of Flow.listen()) {
 *   (async () => {
 *     await using f = flow;
 *     for await (const message of f.readable) await f.write(message);
 *   })();
 * }
 * ```
 *
 * @module
 */

export {
  Errno,
  type ErrnoName,
  errnoName,
  errnoText,
  type ErrorDetail,
  OuroError,
} from "./errno.ts";
export { currentInstance, type Instance, instanceOf } from "./instance.ts";
export { QOS, type QosSpec } from "./qos.ts";
export { FLOW_FLAGS_DEFAULT, FlowFlag } from "./flow/flags.ts";
export { type AsyncCallOptions, Flow, type FlowOptions, type SharedFlow } from "./flow/flow.ts";
export type { CallOptions } from "./flow/flow_data.ts";
export type { FlowCounters } from "./flow/frct_driver.ts";
export { FlowSet, type FlowSetEvent } from "./flow/flow_set.ts";
export { Packet } from "./flow/packet.ts";
export { OuroProcess, type OuroProcessOptions, type SharedProcess } from "./flow/process.ts";
export { FlowEvent } from "./shm/layout.ts";
