// The MTU of a path as the kernel tells it, without a packet and without a descriptor left.

import { assert, assertEquals } from "@std/assert";
import { interfaceOf, sockaddrIn, sockaddrIn6 } from "../../../../lib/sys/netsock.ts";
import { pathMtuBytes } from "../../../../lib/sys/path_mtu.ts";

const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;

Deno.test("pathMtuBytes() of the loopback is its MTU; of an address without a route there is none", () => {
  const lo = interfaceOf("lo").mtu;
  const to = sockaddrIn(Uint8Array.of(127, 0, 0, 1), 9);
  const before = descriptors();
  assertEquals(pathMtuBytes(to), Math.min(lo, 65535)); // Longer packets IP cannot have.
  assertEquals(descriptors(), before);
  const six = pathMtuBytes(sockaddrIn6(new Uint8Array(16).fill(1, 15), 9));
  assert(six === undefined || six >= 1280, String(six)); // IPv6 may be off.
  assertEquals(pathMtuBytes(Uint8Array.of(255, 255)), undefined);
  assertEquals(descriptors(), before);
});
