/**
 * What the IRMd can be asked, in one table: who may, what must be in the message, who serves it (spec 20 §6 – §8).
 *
 * The kernel says who is calling. Administration needs root, the owner of the node or group `ouroboros`; a
 * process speaks for itself only; what IPCPs say is believed of the IPCP that says it (spec 20 §19.1 – 5). To add a
 * request, add a line here and a function that serves it.
 */

import { IrmCode, type IrmMsg } from "../lib/irm/messages.ts";
import type { Outcome } from "./answer.ts";
import { userOf } from "./binding_user.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import { accept } from "./flow_accept.ts";
import { alloc } from "./flow_alloc.ts";
import { dealloc, join } from "./flow_end.ts";
import { allocReplied, deallocConfirmed, requestArrived } from "./ipcp_flows.ts";
import type { Ipcps } from "./ipcps.ts";
import * as names from "./names.ts";
import { countMembers, flowLosses, queryName } from "./queries.ts";
import { saveState } from "./save.ts";
import { forThread, watchThread } from "./threads.ts";

/** Who may make a request. */
export type Who =
  | "anyone"
  /** Root, the owner of the node, members of group `ouroboros`. */
  | "administrator"
  /** The process that the message speaks of: `pid`, the upper or the lower end of `flow_info`, `ipcp_info`. */
  | "pid"
  | "upper"
  | "lower"
  | "ipcp-info"
  /** An IPCP that this daemon started. */
  | "ipcp";

/** What a request is served with. */
export interface Context {
  readonly d: Daemon;
  readonly ipcps: Ipcps;
  readonly client: Client;
}

/** A message with the fields that its request needs. */
export type Having<K extends keyof IrmMsg> =
  & IrmMsg
  & { [P in K]-?: Exclude<IrmMsg[P], undefined> };

type Served = Outcome | Promise<Outcome>;

/** One line of the table. */
export interface Request {
  /** The step that is named when it fails. */
  readonly stage: string;
  readonly who: Who;
  readonly needs: readonly (keyof IrmMsg)[];
  /** The connection may stay for the next request (`FLOW_KEEP`). */
  readonly mayKeep?: boolean;
  /** `msg` has all that the request needs. */
  serve(c: Context, msg: IrmMsg): Served;
}

/** A line whose `serve` sees the needed fields as present; {@linkcode Request.serve} is only called with them. */
function request<const K extends keyof IrmMsg>(
  stage: string,
  who: Who,
  needs: readonly K[],
  serve: (c: Context, msg: Having<K>) => Served,
  mayKeep = false,
): Request {
  return { stage, who, needs, mayKeep, serve: serve as Request["serve"] };
}

/** All requests by code. */
export const REQUESTS: ReadonlyMap<number, Request> = new Map<number, Request>([
  // IPCPs.
  [
    IrmCode.IRM_CREATE_IPCP,
    request("create ipcp", "administrator", ["ipcpInfo"], ({ ipcps }, m) => ipcps.create(m)),
  ],
  [
    IrmCode.IPCP_CREATE_R,
    request("create ipcp", "ipcp-info", ["ipcpInfo"], ({ ipcps }, m) => ipcps.ready(m)),
  ],
  [
    IrmCode.IPCP_STATUS,
    request("status", "ipcp-info", ["ipcpInfo"], ({ ipcps }, m) => ipcps.status(m)),
  ],
  [
    IrmCode.IPCP_MOVED,
    request("moved", "ipcp-info", ["ipcpInfo", "hash"], ({ ipcps }, m) => ipcps.moved(m)),
  ],
  [
    IrmCode.IRM_DESTROY_IPCP,
    request("destroy ipcp", "administrator", ["pid"], ({ ipcps }, m) => ipcps.destroy(m)),
  ],
  [
    IrmCode.IRM_LIST_IPCPS,
    request("list ipcps", "anyone", [], ({ d, ipcps }, m) => names.listIpcps(d, ipcps, m)),
  ],
  [
    IrmCode.IRM_BOOTSTRAP_IPCP,
    request("bootstrap", "administrator", ["pid", "conf"], ({ ipcps }, m) => ipcps.bootstrap(m)),
  ],
  [
    IrmCode.IRM_ENROLL_IPCP,
    request("enroll", "administrator", ["pid"], ({ ipcps }, m) => ipcps.enroll(m)),
  ],
  [
    IrmCode.IRM_CONNECT_IPCP,
    request(
      "connect",
      "administrator",
      ["pid", "dst", "comp", "qos"],
      ({ ipcps }, m) => ipcps.connect(m, true),
    ),
  ],
  [
    IrmCode.IRM_DISCONNECT_IPCP,
    request(
      "disconnect",
      "administrator",
      ["pid", "dst", "comp"],
      ({ ipcps }, m) => ipcps.connect(m, false),
    ),
  ],
  // Names, programs, processes.
  [
    IrmCode.IRM_BIND_PROGRAM,
    request(
      "bind program",
      "administrator",
      ["name"],
      ({ d, client }, m) => names.bindProgram(d, userOf(client), m),
    ),
  ],
  [
    IrmCode.IRM_UNBIND_PROGRAM,
    request("unbind program", "administrator", ["prog"], ({ d }, m) => names.unbindProgram(d, m)),
  ],
  [
    IrmCode.IRM_PROC_ANNOUNCE,
    request("announce", "pid", ["pid", "prog"], ({ d, client }, m) => names.announce(d, client, m)),
  ],
  [
    IrmCode.IRM_PROC_EXIT,
    request("exit", "pid", ["pid"], ({ d, client }) => names.processExit(d, client.cred.pid)),
  ],
  [
    IrmCode.IRM_THREAD,
    request("thread", "pid", ["pid", "thread"], ({ d, client }, m) => watchThread(d, client, m)),
  ],
  [
    IrmCode.IRM_BIND_PROCESS,
    request(
      "bind process",
      "administrator",
      ["pid", "name"],
      ({ d, client }, m) => names.bindProcess(d, client, m),
    ),
  ],
  [
    IrmCode.IRM_UNBIND_PROCESS,
    request("unbind process", "administrator", ["pid"], ({ d }, m) => names.unbindProcess(d, m)),
  ],
  [
    IrmCode.IRM_CREATE_NAME,
    request(
      "create name",
      "administrator",
      ["nameInfo"],
      ({ d, client }, m) => names.createName(d, client, m),
    ),
  ],
  [
    IrmCode.IRM_DESTROY_NAME,
    request("destroy name", "administrator", ["name"], ({ d }, m) => names.destroyName(d, m)),
  ],
  [
    IrmCode.IRM_LIST_NAMES,
    request("list names", "anyone", [], ({ d }, m) => names.listNames(d, m)),
  ],
  [
    IrmCode.IRM_REG_NAME,
    request(
      "register",
      "administrator",
      ["name", "pid"],
      ({ ipcps }, m) => ipcps.register(m, true),
    ),
  ],
  [
    IrmCode.IRM_UNREG_NAME,
    request(
      "unregister",
      "administrator",
      ["name", "pid"],
      ({ ipcps }, m) => ipcps.register(m, false),
    ),
  ],
  [
    IrmCode.IRM_QUERY_NAME,
    request("query", "anyone", ["dst"], ({ d }, m) => queryName(d, m)),
  ],
  [
    IrmCode.IRM_COUNT_MEMBERS,
    request("members", "anyone", ["layer"], ({ d }, m) => countMembers(d, m)),
  ],
  [
    IrmCode.IRM_LIST_USERS,
    request("list users", "administrator", [], ({ d }) => names.listUsers(d)),
  ],
  [
    IrmCode.IRM_SAVE,
    request("save", "administrator", [], ({ d, ipcps }) => saveState(d, ipcps)),
  ],
  // Flows of processes.
  [
    IrmCode.IRM_FLOW_ALLOC,
    request(
      "flow alloc",
      "upper",
      ["flowInfo", "dst"],
      ({ d, client }, m) => forThread(d, client, m, () => alloc(d, client, m)),
      true,
    ),
  ],
  [
    IrmCode.IRM_FLOW_ACCEPT,
    request(
      "flow accept",
      "upper",
      ["flowInfo"],
      ({ d, client }, m) => forThread(d, client, m, () => accept(d, client, m)),
      true,
    ),
  ],
  [
    IrmCode.IRM_FLOW_JOIN,
    request(
      "flow join",
      "upper",
      ["flowInfo", "dst"],
      ({ d, client }, m) => forThread(d, client, m, () => join(d, client, m)),
      true,
    ),
  ],
  [
    IrmCode.IRM_FLOW_DEALLOC,
    request("flow dealloc", "upper", ["flowInfo"], ({ d }, m) => dealloc(d, m), true),
  ],
  [
    IrmCode.IRM_FLOW_LOSSES,
    request("flow losses", "upper", ["flowInfo"], ({ d }, m) => flowLosses(d, m)),
  ],
  // Flows at IPCPs.
  [
    IrmCode.IPCP_FLOW_REQ_ARR,
    request(
      "flow request",
      "lower",
      ["flowInfo", "hash"],
      ({ d, client }, m) => requestArrived(d, client.cred.pid, client, m),
    ),
  ],
  [
    IrmCode.IPCP_FLOW_ALLOC_REPLY,
    request(
      "flow reply",
      "ipcp",
      ["flowInfo", "response"],
      ({ d, client }, m) => allocReplied(d, client.cred.pid, m),
    ),
  ],
  [
    IrmCode.IPCP_FLOW_DEALLOC,
    request(
      "flow dealloc",
      "ipcp",
      ["flowInfo"],
      ({ d, client }, m) => deallocConfirmed(d, client.cred.pid, m),
    ),
  ],
]);
