/** What a recorded request is good for: nothing, as far as the wire lets it be (spec 40 §7, §18.7-13). */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { init, leaf, staticKem } from "../../../../pki/make.ts";
import { boundId, isBoundTo } from "../../../../security/oap/binding.ts";
import { ClockGuard } from "../../../../security/oap/clock_guard.ts";
import { isOapFailure, type OapService } from "../../../../security/oap/mod.ts";
import { parse } from "../../../../lib/wire/oap_header.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";
import { DEFAULTS, ensure, KeptLog, pkiOptions, SecDir } from "../../../support/security_dir.ts";

const NAME = "svc";

async function request(service: OapService, name = NAME): Promise<Uint8Array> {
  const session = await service.prepare(DEFAULTS, name);
  ensure(!isOapFailure(session), Deno.inspect(session));
  return session.request;
}

async function refusal(made: ReturnType<OapService["serve"]>): Promise<string> {
  const got = await made;
  ensure(isOapFailure(got), "was served");
  return got.reason;
}

/** The request without certificate and signature, as somebody on the path would send it on. */
function stripped(bytes: Uint8Array): Uint8Array {
  const h = parse(bytes, 0, bytes.length, 0);
  ensure(!isWireError(h));
  const out = new Uint8Array(36 + h.kex.length + h.data.length);
  out.set(bytes.subarray(0, 36));
  new DataView(out.buffer).setUint16(30, 0);
  out.set(h.kex, 36);
  out.set(h.data, 36 + h.kex.length);
  return out;
}

Deno.test("signed and unsigned requests share one list: a stripped copy is a replay, either way round", async () => {
  using sec = new SecDir();
  await init(pkiOptions(sec.dir));
  await leaf(pkiOptions(sec.dir), "client", NAME, "alice");
  for (const order of [[0, 1], [1, 0]]) {
    const service = sec.service(new KeptLog());
    const signed = await request(service);
    const both = [signed, stripped(signed)];
    assert(!isOapFailure(await service.serve(DEFAULTS, NAME, both[order[0]!]!)));
    assertEquals(
      await refusal(service.serve(DEFAULTS, NAME, both[order[1]!]!)),
      order[0] === 0 ? "OAP header already known" : "OAP header already known",
    );
  }
});

Deno.test("kem_mode=client: a replayed request gets another key, as fresh material of both sides is in it", async () => {
  using sec = new SecDir();
  await staticKem(pkiOptions(sec.dir, { kex: "X25519MLKEM768" }), NAME);
  sec.write(`server/${NAME}/enc.conf`, "kex=X25519MLKEM768\n");
  sec.write(`client/${NAME}/enc.conf`, "kex=X25519MLKEM768\nkem_mode=client\n");
  const session = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session));
  const served = await sec.service(new KeptLog()).serve(DEFAULTS, NAME, session.request);
  // Another daemon (or this one after a restart) has no memory of it.
  const again = await sec.service(new KeptLog()).serve(DEFAULTS, NAME, session.request);
  ensure(!isOapFailure(served) && !isOapFailure(again));
  assertNotEquals(served.key, again.key);
  const done = await session.complete(served.response);
  ensure(!isOapFailure(done));
  assertEquals(done.key, served.key);
});

Deno.test("kem_mode=client in the prototype's form is refused unless the administrator asks for it", async () => {
  using sec = new SecDir();
  await staticKem(pkiOptions(sec.dir, { kex: "ML-KEM-768" }), NAME);
  const [server, client] = ["server", "client"].map((side) => `${side}/${NAME}/enc.conf`);
  sec.write(client!, "kex=ML-KEM-768\nkem_mode=client\nallow-static-kem=yes\n");
  sec.write(server!, "kex=ML-KEM-768\n");
  const old = await request(sec.service(new KeptLog()));
  assert((await refusal(sec.service(new KeptLog()).serve(DEFAULTS, NAME, old)))
    .includes("allow-static-kem"));
  sec.write(server!, "kex=ML-KEM-768\nallow-static-kem=yes\n");
  const session = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session));
  const served = await sec.service(new KeptLog()).serve(DEFAULTS, NAME, session.request);
  ensure(!isOapFailure(served));
  const done = await session.complete(served.response);
  ensure(!isOapFailure(done));
  assertEquals(done.key, served.key);
  // Our form to a server that leaves its part out, as a prototype would.
  sec.write(client!, "kex=ML-KEM-768\nkem_mode=client\n");
  const ours = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(ours));
  const h = await sec.service(new KeptLog()).serve(DEFAULTS, NAME, ours.request);
  ensure(!isOapFailure(h));
  const bare = stripKex(h.response);
  const end = await ours.complete(bare);
  ensure(isOapFailure(end) && end.reason.includes("its part of the key"), Deno.inspect(end));
});

/** An unsigned response without its kex field. */
function stripKex(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const kex = view.getUint16(32) & 0x3fff;
  const out = new Uint8Array(bytes.length - kex);
  out.set(bytes.subarray(0, 36));
  out.set(bytes.subarray(36 + kex), 36);
  new DataView(out.buffer).setUint16(32, 0);
  return out;
}

Deno.test("require-binding: a request for one server is refused by another of the same CA", async () => {
  using sec = new SecDir();
  await init(pkiOptions(sec.dir));
  for (const name of [NAME, "other"]) {
    await leaf(pkiOptions(sec.dir), "client", name, "alice");
    sec.write(`server/${name}/enc.conf`, "none\nallow-peer = alice\nrequire-binding = yes\n");
  }
  const service = sec.service(new KeptLog());
  assert(!isOapFailure(await service.serve(DEFAULTS, NAME, await request(service))));
  assert((await refusal(service.serve(DEFAULTS, NAME, await request(service, "other"))))
    .includes("does not say that it is for svc"));
  // Ids of the prototype are random.
  const foreign = sec.service(new KeptLog(), {
    random: (n) => crypto.getRandomValues(new Uint8Array(n)),
  });
  assert((await refusal(service.serve(DEFAULTS, NAME, await request(foreign))))
    .includes("require-binding"));
  const nonce = crypto.getRandomValues(new Uint8Array(8));
  assertEquals(boundId(nonce, NAME).length, 16);
  assertEquals(isBoundTo(boundId(nonce, NAME), NAME), true);
  assertEquals(isBoundTo(boundId(nonce, NAME), `${NAME}x`), false);
});

Deno.test("a clock that is set back makes no served request new", async () => {
  using sec = new SecDir();
  const S = 1_000_000_000n;
  let wall = 1_800_000_000n * S;
  let monotonic = 0n;
  const clocks = { nowNs: () => wall, monotonicNs: () => monotonic, startedNs: 0n };
  const service = sec.service(new KeptLog(), clocks);
  const client = sec.service(new KeptLog(), clocks);
  const advance = (by: bigint) => {
    wall += by;
    monotonic += by;
  };
  const old = await request(client);
  assert(!isOapFailure(await service.serve(DEFAULTS, NAME, old)));
  // Its time is over; then the clock is set back to just after it.
  advance(60n * S);
  assert(!isOapFailure(await service.serve(DEFAULTS, NAME, await request(client))));
  wall -= 55n * S;
  monotonic += S;
  assert((await refusal(service.serve(DEFAULTS, NAME, old))).includes("older"));
  advance(S);
  assert(!isOapFailure(await service.serve(DEFAULTS, NAME, await request(client))));
  assert((await refusal(service.serve(DEFAULTS, NAME, old))).includes("older"));
});

Deno.test("a request from the future is not served again by a daemon that was restarted at once", async () => {
  using sec = new SecDir();
  const MS = 1_000_000n;
  let now = 1_800_000_000_000n * MS;
  const client = sec.service(new KeptLog(), { nowNs: () => now + 100n * MS });
  const future = await request(client);
  const before = sec.service(new KeptLog(), { nowNs: () => now, startedNs: now - 1000n * MS });
  assert(!isOapFailure(await before.serve(DEFAULTS, NAME, future)));
  const after = sec.service(new KeptLog(), { nowNs: () => now, startedNs: now });
  assert((await refusal(after.serve(DEFAULTS, NAME, future))).includes("older"));
  // Flows within the host need not wait for that time.
  const own = await request(after);
  assert(!isOapFailure(await after.serve(DEFAULTS, NAME, own)));
  assert((await refusal(after.serve(DEFAULTS, NAME, own))).includes("known"));
  now += 101n * MS;
  assert(!isOapFailure(await after.serve(DEFAULTS, NAME, await request(client))));
});

Deno.test("ClockGuard: small steps and forward steps refuse nothing, a sum of small ones does", () => {
  const MS = 1_000_000n;
  const g = new ClockGuard();
  assertEquals(g.floorNs(1000n * MS, 0n), 0n);
  assertEquals(g.floorNs(5000n * MS, 100n * MS), 0n, "forward");
  assertEquals(g.floorNs(4500n * MS, 200n * MS), 0n, "600 ms back");
  assertEquals(g.floorNs(4300n * MS, 400n * MS), 4300n * MS, "1000 ms back in all");
  assertEquals(g.floorNs(4400n * MS, 500n * MS), 4300n * MS, "stays");
});
