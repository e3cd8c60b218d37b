/**
 * Which IPCP has a device: two on one device and ethertype would take each other's frames. Pure.
 */

import { type IpcpConfig, IpcpType } from "../lib/irm/messages.ts";

/** A device and what is received of it. */
interface Frames {
  readonly dev: string;
  /** 0 for LLC, which has none. */
  readonly ethertype: number;
}

function framesOf(conf: IpcpConfig): Frames | undefined {
  if (conf.ipcpType !== IpcpType.ETH_DIX && conf.ipcpType !== IpcpType.ETH_LLC) return undefined;
  const { dev, ethertype } = conf.eth;
  return { dev, ethertype: conf.ipcpType === IpcpType.ETH_DIX ? ethertype : 0 };
}

/**
 * Why a configuration cannot be used beside others, in words for a person; undefined if it can. `others` are the
 * configurations of the other IPCPs, by name.
 */
export function deviceTaken(
  conf: IpcpConfig,
  others: Iterable<readonly [string, IpcpConfig]>,
): string | undefined {
  const own = framesOf(conf);
  if (own === undefined) return undefined;
  for (const [name, other] of others) {
    const frames = framesOf(other);
    if (frames?.dev !== own.dev || frames.ethertype !== own.ethertype) continue;
    const what = own.ethertype === 0
      ? "LLC frames"
      : `ethertype 0x${own.ethertype.toString(16).toUpperCase().padStart(4, "0")}`;
    return `IPCP ${name} has ${what} of device ${own.dev} already`;
  }
  return undefined;
}
