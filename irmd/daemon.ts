/**
 * What the parts of the IRMd share: the registry, the shared-memory objects, OAP, the log, the children,
 * and the clock. Made once by `main.ts`; the parts take it as their first argument.
 */

import type { Instance } from "../lib/instance.ts";
import type { Logger } from "../lib/log.ts";
import type { OapService } from "../security/oap/mod.ts";
import type { Children } from "./children.ts";
import type { Costly } from "./costly.ts";
import type { IpcpClient } from "./ipcp_client.ts";
import type { Shares, Totals } from "./limits.ts";
import type { Objects } from "./objects.ts";
import type { Registry } from "./registry/mod.ts";
import type { RibDir } from "./rib_dir.ts";
import type { Upkeep } from "./upkeep.ts";

/** Settings of a running daemon. */
export interface DaemonOptions {
  /** Lines go to stdout, not to syslog. */
  readonly toStdout: boolean;
  /** Whether processes of this host talk without a layer between them (spec 20 §7.2). */
  direct: boolean;
  /** Whether layers are asked for names that are not known here (our addition). */
  askLayers: boolean;
  /** How many times as long as on a host with time for them IPCPs, acceptors and started programs may take. */
  readonly patience: number;
  /** What of the totals that users share the configuration says. */
  readonly totals: Partial<Totals>;
  /** Directory of IPCP programs; undefined: this program's own. */
  readonly ipcpDir: string | undefined;
  /** Names of the programs that are in this binary. */
  readonly ownPrograms: readonly string[];
}

/** See the file's comment. */
export interface Daemon {
  readonly instance: Instance;
  readonly options: DaemonOptions;
  /** Who runs the daemon: privileged in this node besides root. */
  readonly ownUid: number;
  readonly log: Logger;
  readonly ipcpLog: Logger;
  /** Asks IPCPs. */
  readonly ipcpClient: IpcpClient;
  readonly registry: Registry;
  readonly objects: Objects;
  readonly shares: Shares;
  readonly oap: OapService;
  /** Does what of OAP is costly. */
  readonly costly: Costly;
  readonly children: Children;
  readonly upkeep: Upkeep;
  readonly rib: RibDir;
  /** Things of the configuration file are still being made. */
  configuring: boolean;
  /** Processes that said farewell and live on: what they still hold of the global pool comes back when they end. */
  readonly leaving: Set<number>;
  /** Monotonic, ms. */
  nowMs(): number;
}
