/**
 * Nets of the loopback for tests that run side by side, in threads of one process and in other processes: nobody else
 * has the one that is given.
 */

import { SysError } from "../../lib/sys/ffi.ts";
import { openUdp, sockaddrIn } from "../../lib/sys/netsock.ts";

/** Bound at the last host of a net by who has it, until its process ends. */
const CLAIM_PORT = 40_001;
/** Those below are for people. */
const FIRST = 64;

/** The first three bytes of a /24 below 127.0.0.0/8; its hosts 1 to 253 are the caller's. */
export function loopbackNet(): readonly [number, number, number] {
  for (;;) {
    const [a, b] = crypto.getRandomValues(new Uint8Array(2));
    const net = [127, FIRST + a! % (256 - FIRST), b!] as const;
    try {
      openUdp(sockaddrIn(Uint8Array.of(...net, 254), CLAIM_PORT));
      return net;
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
    }
  }
}

/** Addresses of such nets, a new one with each call. */
export function loopbackHosts(): () => Uint8Array {
  let net = loopbackNet();
  let host = 0;
  return () => {
    if (host === 253) [net, host] = [loopbackNet(), 0];
    return Uint8Array.of(...net, ++host);
  };
}
