/**
 * A request for a flow that is shown to its acceptor before it is accepted (our addition to the IRMd's protocol): who wants
 * what from whom, to be accepted, refused with a reason, or thought over meanwhile.
 */

import { FLOW_ASK } from "../codes.ts";
import { Errno, OuroError } from "../errno.ts";
import type { Conversation } from "../irm/client.ts";
import { IrmCode, type IrmMsg } from "../irm/messages.ts";
import { type QosSpec, withJson } from "../qos.ts";
import type { Flow } from "./flow.ts";
import { giveBack, requestOf } from "./grant.ts";
import { type FlowGrant, grantOf } from "./irmd.ts";
import type { FlowOptions, PeerInfo } from "./options.ts";
import type { ProcessParts } from "./process_parts.ts";
import { Rings } from "./rings.ts";

/** Why a request is refused. */
export interface RefuseOptions {
  /** Negative error number that the requester gets; absent: -EPERM. */
  code?: number | undefined;
  /** One line for the requester, at most 256 bytes. */
  reason?: string | undefined;
}

/** Waits for a request; see {@linkcode FlowRequest}. Rejects with `OuroError`, or the signal's reason. */
export async function awaitRequest(
  process: ProcessParts,
  options: FlowOptions,
  open: (grant: FlowGrant) => Flow,
): Promise<FlowRequest> {
  const request = requestOf(process, "accept", "", options);
  const asked = { ...request, opts: (request.opts ?? 0) | FLOW_ASK };
  const talk = await process.converse(asked, options.signal);
  const { said } = talk;
  // An IRMd of the prototype accepts without a word.
  const shown = ((said.opts ?? 0) & FLOW_ASK) !== 0 && said.flowInfo !== undefined;
  if (shown) return newRequest(process, said, talk, undefined, open);
  talk.close();
  return newRequest(process, said, talk, grantOf(said, "accept", "", process.pid), open);
}

let newRequest: (
  process: ProcessParts,
  said: IrmMsg,
  talk: Conversation,
  grant: FlowGrant | undefined,
  open: (grant: FlowGrant) => Flow,
) => FlowRequest;

/**
 * A request for a flow, see the head of this file. It holds until the requester's time is over, 20 s where that names none.
 * Disposing of one that was not decided refuses it.
 *
 * @example
 * ```ts
 * import { Flow } from "@ouro/ouro";
 *
 * for await (const request of Flow.requests({ signal: AbortSignal.timeout(50) })) {
 *   if (request.peer === undefined) {
 *     await request.refuse({ reason: "who are you?" });
 *     continue;
 *   }
 *   await using flow = await request.accept();
 *   await flow.write(new TextEncoder().encode(`hello ${request.peer.name}`));
 * }
 * ```
 */
export class FlowRequest implements AsyncDisposable {
  /** The name that was asked for; undefined where the IRMd does not say. */
  readonly name: string | undefined;
  /** The layer it came over; undefined for a direct one. */
  readonly layer: string | undefined;
  /** Who asks, when the key exchange authenticated it. */
  readonly peer: PeerInfo | undefined;
  /** What was asked for. */
  readonly qos: QosSpec;
  readonly #process: ProcessParts;
  readonly #talk: Conversation;
  readonly #grant: FlowGrant | undefined;
  readonly #open: (grant: FlowGrant) => Flow;
  #decided = false;

  static {
    newRequest = (process, said, talk, grant, open) =>
      new FlowRequest(process, said, talk, grant, open);
  }

  private constructor(
    process: ProcessParts,
    said: IrmMsg,
    talk: Conversation,
    grant: FlowGrant | undefined,
    open: (grant: FlowGrant) => Flow,
  ) {
    this.name = said.name || undefined;
    this.layer = said.layer || undefined;
    this.peer = said.peer;
    this.qos = withJson(said.flowInfo!.qos);
    this.#process = process;
    this.#talk = talk;
    this.#grant = grant;
    this.#open = open;
  }

  /** Whether it was accepted or refused. */
  get decided(): boolean {
    return this.#decided;
  }

  /** Takes the flow. Rejects with `OuroError`: -ENOTALLOC when the requester has given up, -EBADF when it was decided. */
  async accept(): Promise<Flow> {
    this.#decide();
    if (this.#grant !== undefined) return this.#open(this.#grant);
    const { pid } = this.#process;
    const reply = await this.#talk.answer({ code: IrmCode.IRM_FLOW_ACCEPT, pid, response: 0 });
    return this.#open(grantOf(reply, "accept", "", pid));
  }

  /**
   * Refuses the flow: the requester's call ends with the code and the reason. Where an IRMd of the prototype has accepted
   * it already, the flow is closed. Rejects with `OuroError` -EBADF when it was decided, -EINVAL for a code above -1.
   */
  async refuse(options: RefuseOptions = {}): Promise<void> {
    const { code = -Errno.EPERM, reason = "" } = options;
    if (!Number.isInteger(code) || code >= 0 || code < -0x80000000) {
      throw new OuroError(-Errno.EINVAL, `Cannot refuse a flow with ${code}`);
    }
    this.#decide();
    const { pid } = this.#process;
    if (this.#grant !== undefined) {
      const { instance, peerSets } = this.#process;
      const { id, nPid, n1Pid } = this.#grant.info;
      Rings.tellEnd(instance, peerSets, nPid, n1Pid, id);
      await giveBack(this.#process, id);
      return;
    }
    const error = { stage: "flow accept", process: "the server", cause: reason };
    await this.#talk.answer({ code: IrmCode.IRM_FLOW_ACCEPT, pid, response: code, error });
  }

  #decide(): void {
    if (this.#decided) throw new OuroError(-Errno.EBADF, "Cannot decide on a request again");
    this.#decided = true;
  }

  /** Refuses what was not decided. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#decided) return;
    // The requester or the IRMd may be gone.
    await this.refuse().catch(() => {});
  }
}
