/** What a UDP IPCP does when the host loses its address or gets another: by examples. */

import { assertEquals } from "@std/assert";
import { GRACE_US, type HostAddress, OwnAddress } from "../../../ipcp/udp/own_address.ts";

const on = (device: string, ...addresses: string[]): HostAddress[] =>
  addresses.map((address) => ({ device, address }));

const GONE = "this host has no address 10.0.0.1 at the moment";

function at(...host: HostAddress[]): OwnAddress {
  const own = new OwnAddress("10.0.0.1");
  assertEquals(own.look(0, true, host), undefined);
  assertEquals([own.why, own.deadlineUs(0)], [undefined, Infinity]);
  return own;
}

Deno.test("OwnAddress: one that comes back within the grace is used as before", () => {
  const host = on("eth0", "10.0.0.1");
  const own = at(...host);
  assertEquals(own.look(5, false, []), undefined);
  assertEquals([own.why, own.deadlineUs(5)], [GONE, 5 + GRACE_US]);
  assertEquals(own.look(6, false, on("eth0", "10.0.0.9")), undefined);
  assertEquals(own.look(7, true, host), undefined);
  assertEquals([own.why, own.deadlineUs(7), own.address], [undefined, Infinity, "10.0.0.1"]);
});

Deno.test("OwnAddress: after the grace it is at the only other address of its device", () => {
  const own = at(...on("eth0", "10.0.0.1", "10.0.0.9"), ...on("eth1", "10.0.1.1"));
  const after = [...on("eth0", "10.0.0.9"), ...on("eth1", "10.0.1.1")];
  assertEquals(own.look(10, false, after), undefined);
  assertEquals(own.look(10 + GRACE_US - 1, false, after), undefined);
  assertEquals(own.look(10 + GRACE_US, false, after), "10.0.0.9");
  // Until it is said to have been done, it is asked for again.
  assertEquals(own.look(11 + GRACE_US, false, after), "10.0.0.9");
  own.moved("10.0.0.9");
  assertEquals([own.address, own.why, own.deadlineUs(0)], ["10.0.0.9", undefined, Infinity]);
});

Deno.test("OwnAddress: it goes back to the address of the bootstrap when the other one is gone", () => {
  const own = at(...on("eth0", "10.0.0.1"));
  own.look(0, false, on("eth0", "10.0.0.9"));
  assertEquals(own.look(GRACE_US, false, on("eth0", "10.0.0.9")), "10.0.0.9");
  own.moved("10.0.0.9");
  const both = on("eth0", "10.0.0.1", "10.0.0.9");
  assertEquals(own.look(3e6, true, both), undefined);
  assertEquals(own.look(4e6, false, on("eth0", "10.0.0.1", "10.0.0.7")), "10.0.0.1");
});

Deno.test("OwnAddress: of several none is chosen, and a person is told which there are", () => {
  const own = at(...on("eth0", "10.0.0.1"));
  const several = on("eth0", "10.0.0.8", "10.0.0.9");
  own.look(0, false, several);
  assertEquals(own.look(5e6, false, several), undefined);
  assertEquals(
    own.why,
    `${GONE}, and eth0 has several others (10.0.0.8, 10.0.0.9): ` +
      "destroy this IPCP and bootstrap it with one of them",
  );
  assertEquals(own.look(6e6, false, on("eth0", "10.0.0.9")), "10.0.0.9");
});

Deno.test("OwnAddress: addresses of other devices are nobody's choice, nor any where no device had the old one", () => {
  const own = at(...on("eth0", "10.0.0.1"));
  own.look(0, false, on("eth1", "10.0.1.1"));
  assertEquals(own.look(5e6, false, on("eth1", "10.0.1.1")), undefined);
  assertEquals([own.why, own.deadlineUs(5e6)], [GONE, Infinity]);
  const loopback = at();
  loopback.look(0, false, on("lo", "127.0.0.1"));
  assertEquals(loopback.look(5e6, false, on("lo", "127.0.0.1")), undefined);
});

Deno.test("OwnAddress: one that is there and cannot be used yet is waited for", () => {
  const own = at(...on("eth0", "10.0.0.1"));
  const host = on("eth0", "10.0.0.1", "10.0.0.9");
  own.look(0, false, host);
  assertEquals(own.look(5e6, false, host), undefined);
  assertEquals(own.why, GONE);
});
