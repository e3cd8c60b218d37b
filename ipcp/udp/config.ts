/**
 * What the bootstrap of a UDP IPCP says, checked: own address, port, DNS server; and what its layer carries. Pure.
 *
 * IPv4 addresses travel as their network-order bytes read as a little-endian number (spec 50 §4.2).
 */

import { Errno } from "../../lib/errno.ts";
import { formatInet4, formatInet6, isAnyAddress } from "../../lib/inet.ts";
import { type IpcpConfig, IpcpType, type SduLimits } from "../../lib/irm/messages.ts";
import { EID_BYTES } from "../../lib/wire/udp_mgmt.ts";
import type { Failure } from "../type.ts";

export interface UdpSettings {
  readonly family: 4 | 6;
  /** Network-order bytes and text of the own address. */
  readonly ip: Uint8Array;
  readonly text: string;
  readonly port: number;
  /** Text of the DNS server's address, or undefined. */
  readonly dns: string | undefined;
}

/** The four bytes of an address as it travels. */
export function inet4OfNumber(n: number): Uint8Array {
  return Uint8Array.of(n, n >>> 8, n >>> 16, n >>> 24);
}

/** The settings of a configuration, or why they cannot be used. */
export function udpSettings(conf: IpcpConfig): UdpSettings | Failure {
  let settings: UdpSettings;
  if (conf.ipcpType === IpcpType.UDP4) {
    const ip = inet4OfNumber(conf.udp4.ipAddr);
    const dns = inet4OfNumber(conf.udp4.dnsAddr);
    const text = formatInet4(ip);
    const dnsText = isAnyAddress(dns) ? undefined : formatInet4(dns);
    settings = { family: 4, ip, text, port: conf.udp4.port, dns: dnsText };
  } else if (conf.ipcpType === IpcpType.UDP6) {
    const { ipAddr: ip, dnsAddr: dns, port } = conf.udp6;
    const dnsText = isAnyAddress(dns) ? undefined : formatInet6(dns);
    settings = { family: 6, ip, text: formatInet6(ip), port, dns: dnsText };
  } else {
    return { code: -Errno.EIPCPTYPE, cause: "Configuration is not for UDP." };
  }
  if (settings.port < 1 || settings.port > 65535) {
    return { code: -Errno.EPERM, cause: `Cannot use port ${settings.port}: not in 1..65535.` };
  }
  return settings;
}

/** Bytes of the headers of UDP and of IP without options. */
const UDP_HEADER_BYTES = 8;
const IP_HEADER_BYTES = { 4: 20, 6: 40 } as const;

/**
 * What a flow carries: IP fragments what is longer than the path's MTU, so datagrams up to `payloadMax` go through,
 * and only what fits the MTU goes in one piece.
 */
export function udpLimits(
  family: 4 | 6,
  payloadMax: number,
  pathMtu: number | undefined,
): SduLimits {
  if (pathMtu === undefined) return { sduBytesMax: payloadMax };
  const whole = pathMtu - IP_HEADER_BYTES[family] - UDP_HEADER_BYTES - EID_BYTES;
  if (whole <= 0 || whole >= payloadMax) return { sduBytesMax: payloadMax };
  return { sduBytesMax: payloadMax, sduBytesWhole: whole };
}
