/** What the bootstrap of an Ethernet IPCP says, checked: device and ethertype. Pure. */

import { Errno } from "../../lib/errno.ts";
import { type IpcpConfig, IpcpType } from "../../lib/irm/messages.ts";
import { DEVICE_NAME_BYTES_MAX } from "../../lib/limits.ts";
import { ETHERTYPE_MAX, ETHERTYPE_MIN } from "../../lib/wire/eth_frame.ts";
import type { Failure } from "../type.ts";

/** Largest layer MTU: DIX carries a 16-bit length, LLC lengths above 1500 would be ethertypes. */
const DIX_MTU_MAX = 65535;
const LLC_MTU_MAX = 1500;
/** Cap on devices whose name begins with `lo`. */
const LOOPBACK_MTU_MAX = 9000;

export interface EthSettings {
  readonly dev: string;
  /** DIX only. */
  readonly ethertype: number;
}

/** The settings of a configuration, or why they cannot be used. */
export function ethSettings(conf: IpcpConfig, dix: boolean): EthSettings | Failure {
  if (conf.ipcpType !== (dix ? IpcpType.ETH_DIX : IpcpType.ETH_LLC)) {
    return { code: -Errno.EIPCPTYPE, cause: "Configuration is not for this Ethernet type." };
  }
  const { dev, ethertype } = conf.eth;
  const bytes = new TextEncoder().encode(dev).length;
  if (bytes === 0 || bytes > DEVICE_NAME_BYTES_MAX || dev.includes("\0")) {
    return { code: -Errno.EPERM, cause: `Cannot use device "${dev}": no device has such a name.` };
  }
  // LLC has no ethertype; the prototype's tool sends what happens to be in memory.
  if (dix && (ethertype < ETHERTYPE_MIN || ethertype > ETHERTYPE_MAX)) {
    const hex = (n: number) => `0x${n.toString(16).toUpperCase().padStart(4, "0")}`;
    const range = `${hex(ETHERTYPE_MIN)}..${hex(ETHERTYPE_MAX)}`;
    return {
      code: -Errno.EPERM,
      cause: `Cannot use ethertype ${hex(ethertype)}: not in ${range}.`,
    };
  }
  return { dev, ethertype: dix ? ethertype : 0 };
}

/** The layer's MTU over a device (spec 50 §10). */
export function layerMtu(dev: string, deviceMtu: number, dix: boolean): number {
  const mtu = Math.min(dix ? DIX_MTU_MAX : LLC_MTU_MAX, deviceMtu);
  return dev.startsWith("lo") ? Math.min(mtu, LOOPBACK_MTU_MAX) : mtu;
}
