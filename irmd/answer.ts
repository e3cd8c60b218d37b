/** What a request handler gives back: the reply message, or that there is none (spec 20 §2.1). */

import { Errno, errnoText } from "../lib/errno.ts";
import { IrmCode, type IrmMsg } from "../lib/irm/messages.ts";

/** A reply, and what to undo when it cannot be delivered. */
export interface Answer {
  readonly msg: IrmMsg;
  /** Called when the client has gone before it got the reply. */
  readonly undelivered?: () => void;
  /** Called when the client has got it: for what need not keep it waiting. */
  readonly delivered?: () => void;
}

/** A reply, or undefined: close the connection without one. */
export type Outcome = Answer | undefined;

const OK: Answer = Object.freeze({ msg: Object.freeze({ code: IrmCode.IRM_REPLY, result: 0 }) });

/** A success, with the fields the request asked for. */
export function ok(fields?: Partial<IrmMsg>, undelivered?: () => void): Answer {
  if (fields === undefined && undelivered === undefined) return OK;
  const msg: IrmMsg = { code: IrmCode.IRM_REPLY, result: 0, ...fields };
  return undelivered === undefined ? { msg } : { msg, undelivered };
}

/**
 * A failure that says where and why.
 *
 * @param code negative error number
 * @param stage the step that failed, e.g. `flow alloc`
 * @param cause one line for a person, with the remedy where there is one
 * @param process who says so
 */
export function failed(code: number, stage: string, cause?: string, process = "irmd"): Answer {
  return {
    msg: {
      code: IrmCode.IRM_REPLY,
      result: code,
      error: { stage, process, cause: cause ?? errnoText(code) },
    },
  };
}

/** -22: a field that the request needs is missing or may not have this value. */
export function invalid(stage: string, cause: string): Answer {
  return failed(-Errno.EINVAL, stage, cause);
}
