// The life of an IPCP and the admission of commands, all of it: every type, state and code.

import { assert, assertEquals } from "@std/assert";
import { IpcpCode } from "../../../lib/codes.ts";
import { admit, Lifecycle, type StateName, type TypeName } from "../../../ipcp/state.ts";

const STATES: StateName[] = ["null", "init", "boot", "operational", "shutdown"];
const SHIMS: TypeName[] = ["local", "eth-dix", "eth-llc", "udp4", "udp6"];
const CODES = Object.values(IpcpCode).filter((code) => code !== IpcpCode.IPCP_REPLY);

Deno.test("Lifecycle goes NULL, INIT, BOOT, OPERATIONAL, SHUTDOWN, INIT, NULL", () => {
  const life = new Lifecycle();
  const seen = [life.state];
  for (const step of ["init", "start", "operational", "signal", "stopped", "fini"] as const) {
    assert(life[step](), step);
    seen.push(life.state);
  }
  assertEquals(seen, ["null", "init", "boot", "operational", "shutdown", "init", "null"]);
});

Deno.test("Lifecycle changes nothing on a step that is not legal", () => {
  const legal: Record<string, string[]> = {
    null: ["init"],
    init: ["start", "fini"],
    boot: ["operational", "signal"],
    operational: ["signal"],
    shutdown: ["stopped"],
  };
  const path = ["init", "start", "operational", "signal"] as const;
  for (let depth = 0; depth <= path.length; depth++) {
    for (const step of ["init", "start", "operational", "signal", "stopped", "fini"] as const) {
      const life = new Lifecycle();
      for (const p of path.slice(0, depth)) life[p]();
      const before = life.state;
      assertEquals(life[step](), legal[before]!.includes(step), `${before} ${step}`);
      if (!legal[before]!.includes(step)) assertEquals(life.state, before);
    }
  }
});

Deno.test("Lifecycle goes from BOOT straight to INIT on a signal", () => {
  const life = new Lifecycle();
  life.init();
  life.start();
  assert(life.signal());
  assertEquals(life.state, "init");
});

Deno.test("admit() serves nothing before BOOT and during shutdown", () => {
  for (const type of [...SHIMS, "broadcast", "unicast"] as TypeName[]) {
    for (const state of ["null", "init", "shutdown"] as StateName[]) {
      for (const code of CODES) assert(admit(type, state, code) < 0, `${type} ${state} ${code}`);
    }
  }
});

Deno.test("admit() tests the operation before the state", () => {
  for (const type of SHIMS) {
    for (const state of STATES) {
      for (
        const code of [
          IpcpCode.IPCP_ENROLL,
          IpcpCode.IPCP_FLOW_JOIN,
          IpcpCode.IPCP_CONNECT,
          IpcpCode.IPCP_DISCONNECT,
        ]
      ) {
        assertEquals(admit(type, state, code), -95);
      }
    }
  }
  assertEquals(admit("broadcast", "shutdown", IpcpCode.IPCP_QUERY), -95);
});

Deno.test("admit() refuses codes that are no commands with -1", () => {
  for (const code of [0, 12, 13, -1, 99]) assertEquals(admit("local", "operational", code), -1);
});

Deno.test("admit() wants OPERATIONAL for flows and queries, BOOT for bootstrap", () => {
  for (const type of SHIMS) {
    for (
      const code of [
        IpcpCode.IPCP_QUERY,
        IpcpCode.IPCP_FLOW_ALLOC,
        IpcpCode.IPCP_FLOW_ALLOC_RESP,
        IpcpCode.IPCP_FLOW_DEALLOC,
      ]
    ) {
      assertEquals(admit(type, "boot", code), -1004);
      assertEquals(admit(type, "operational", code), 0);
    }
    assertEquals(admit(type, "boot", IpcpCode.IPCP_BOOTSTRAP), 0);
    assertEquals(admit(type, "operational", IpcpCode.IPCP_BOOTSTRAP), -1004);
    assertEquals(admit(type, "boot", IpcpCode.IPCP_REG), 0);
    assertEquals(admit(type, "operational", IpcpCode.IPCP_REG), 0);
  }
});
