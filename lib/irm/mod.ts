/**
 * Administration of a node from a program: what the `irm` command does. For root, members of the group `ouroboros`, and
 * the user whose node it is.
 *
 * @example Names, their bindings and their layers
 * ```ts
 * import { AdminClient } from "@ouro/ouro/irm";
 * import { assert } from "@std/assert";
 *
 * const irm = new AdminClient();
 * await irm.createName("printer");
 * await irm.bindProgram(["/usr/bin/env"], "printer", false);
 * for (const { pid, layer } of await irm.listIpcps()) {
 *   console.log(`registering in ${layer}`);
 *   await irm.regName("printer", pid);
 * }
 * assert((await irm.listNames()).some(({ name }) => name === "printer"));
 * await irm.destroyName("printer");
 * ```
 *
 * @example An IPCP, from its creation to its end
 * ```ts
 * import { AdminClient, bootstrapConfig, defaultBootstrapOptions, IpcpType } from "@ouro/ouro/irm";
 * import { assertEquals } from "@std/assert";
 *
 * const irm = new AdminClient();
 * await irm.createIpcp("here", IpcpType.LOCAL);
 * const { pid } = (await irm.listIpcps()).find((ipcp) => ipcp.name === "here")!;
 * const conf = bootstrapConfig(IpcpType.LOCAL, "desk", defaultBootstrapOptions())!;
 * await irm.bootstrapIpcp(pid, conf);
 * const { layer } = (await irm.listIpcps()).find((ipcp) => ipcp.pid === pid)!;
 * assertEquals(layer, "desk");
 * await irm.destroyIpcp(pid);
 * ```
 *
 * @module
 */

import "../runtime.ts";

export { AdminClient, type AdminOptions } from "./admin.ts";
export type { RequestOptions } from "./client.ts";
export {
  bootstrapConfig,
  type BootstrapOptions,
  defaultBootstrapOptions,
} from "./bootstrap_options.ts";
export type { BoundFor, IpcpListEntry, NameInfo, UserUse } from "./messages.ts";
export {
  COMP_DATA_TRANSFER,
  COMP_MANAGEMENT,
  HashAlgo,
  IpcpState,
  IpcpType,
  NOT_ENROLLED,
  PolLb,
} from "../codes.ts";
export type {
  DhtConfig,
  DirConfig,
  DtConfig,
  EthConfig,
  IpcpConfig,
  LayerInfo,
  LsConfig,
  PolicyRef,
  RoutingConfig,
  Udp4Config,
  Udp6Config,
  UnicastConfig,
} from "../wire/ipcp_config.ts";
export type { Instance } from "../instance.ts";
export type { QosSpec } from "../qos.ts";
