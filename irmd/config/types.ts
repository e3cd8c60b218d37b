/** What `irmd.conf` says (spec 21 part B), after everything in it has been checked. Pure. */

import type { Totals } from "../limits.ts";
import type { BoundFor, IpcpConfig, PolicyRef } from "../../lib/irm/messages.ts";
import type { QosWord } from "../../lib/qos.ts";

/** A whole file. */
export interface IrmdConfig {
  readonly daemon: DaemonConfig;
  /** Names and IPCPs in the order in which they are made. */
  readonly entries: readonly ConfigEntry[];
  /** What is odd but harmless, for the log. */
  readonly warnings: readonly string[];
}

/** `[irmd]`, our own table: switches of the daemon. Undefined means not said. */
export interface DaemonConfig {
  /** `direct`: whether processes of one host talk without a layer between them. */
  readonly direct: boolean | undefined;
  /** `ask-layers`: whether the layers are asked for names that are not known here. */
  readonly askLayers: boolean | undefined;
  /** `retry`: whether an IPCP that cannot be made as told is tried again, instead of ending the daemon. */
  readonly retry: boolean | undefined;
  /** `connections`, `processes`, `memory-mib`, `exchanges`: what users share. */
  readonly totals: Partial<Totals>;
}

/** One thing to make. */
export type ConfigEntry = NameConfig | IpcpEntryConfig;

/** Paths of a name as written; `""` where the default applies. */
export interface SecurityPaths {
  readonly senc: string;
  readonly scrt: string;
  readonly skey: string;
  readonly cenc: string;
  readonly ccrt: string;
  readonly ckey: string;
}

/** `[name.<name>]`. */
export interface NameConfig {
  readonly kind: "name";
  readonly line: number;
  readonly name: string;
  /** One of `PolLb`. */
  readonly polLb: number;
  readonly security: SecurityPaths;
  /** As whose word the name is made, a user by name or number; undefined: the daemon's. */
  readonly by: string | undefined;
  /** Programs to bind, in order. */
  readonly programs: readonly ProgramConfig[];
}

/** A program bound to a name. */
export interface ProgramConfig {
  readonly line: number;
  /** Full path, or the bare word of one of our own programs. */
  readonly path: string;
  /** Its words without argv[0]; undefined: not started automatically. */
  readonly args: readonly string[] | undefined;
  /** Whose processes the binding is for; undefined: those of who makes it. */
  readonly boundFor: BoundFor | undefined;
  /** As whose word it is made, a user by name or number; undefined: the daemon's. */
  readonly by: string | undefined;
}

/** Components of a member of a layer as words. */
export const COMPONENT_WORDS = ["mgmt", "dt"] as const;

/** A connection of one component to a neighbour. */
export interface ConnectConfig {
  readonly dst: string;
  readonly component: typeof COMPONENT_WORDS[number];
  readonly qos: QosWord;
}

/** How an IPCP gets into a layer. */
export type JoinConfig =
  | { readonly kind: "none" }
  | { readonly kind: "bootstrap"; readonly layer: string; readonly conf: IpcpConfig }
  | {
    readonly kind: "enrol";
    readonly dst: string;
    readonly conn: readonly string[];
    /** What to connect at each destination, in order. */
    readonly components: readonly string[];
    /** Policies of the layer as files, with full paths. */
    readonly policies: readonly PolicyRef[];
  };

/** `[<type>.<ipcp name>]`. */
export interface IpcpEntryConfig {
  readonly kind: "ipcp";
  readonly line: number;
  /** One of `IpcpType`. */
  readonly type: number;
  readonly name: string;
  readonly join: JoinConfig;
  /** Bind the IPCP's process to its own name and to its layer's. */
  readonly autobind: boolean;
  /** Further names to bind its process to; created (spillover) if they are missing. */
  readonly bind: readonly string[];
  /** Connections to make once it is in its layer, in order. */
  readonly connect: readonly ConnectConfig[];
  /** Names to create (spillover) if they are missing, and to register here. */
  readonly reg: readonly string[];
}

/** Something wrong in a file. */
export class ConfigError {
  constructor(
    readonly file: string,
    /** From 1. */
    readonly line: number,
    /** The prototype's sentence where it has one. */
    readonly text: string,
    /** Lines that the prototype logs after it. */
    readonly follow: readonly string[] = [],
  ) {}

  /** The lines for the log; the first says where. */
  lines(): string[] {
    return [`${this.text} (${this.file}:${this.line})`, ...this.follow];
  }

  toString(): string {
    return `${this.file}:${this.line}: ${this.text}`;
  }
}
