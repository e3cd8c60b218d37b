// A signed request or answer with one bit changed is refused, wherever the bit is, and the true one is taken after it.

import { assert } from "@std/assert";
import { init, leaf } from "../../../../pki/make.ts";
import { isOapFailure } from "../../../../security/oap/mod.ts";
import { DEFAULTS, KeptLog, pkiOptions, SecDir } from "../../../support/security_dir.ts";

const NAME = "svc";
const HEADER_BYTES = 36;

/** Copies of a message with one bit changed: each bit of the header, one of each byte behind it. */
function* flipped(message: Uint8Array): Generator<[at: number, copy: Uint8Array, bit: number]> {
  for (let at = 0; at < message.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      if (at >= HEADER_BYTES && bit !== at % 8) continue;
      const copy = message.slice();
      copy[at]! ^= 1 << bit;
      yield [at, copy, bit];
    }
  }
}

Deno.test("one flipped bit anywhere in a signed request or answer: refused", async () => {
  using sec = new SecDir();
  const o = pkiOptions(sec.dir);
  await init(o);
  await leaf(o, "server", NAME, NAME);
  await leaf(o, "client", NAME, "alice");
  sec.write(`client/${NAME}/enc.conf`, "kex=X25519\nrequire-auth=yes\n");
  sec.write(`server/${NAME}/enc.conf`, "kex=X25519\nrequire-auth=yes\n");
  const client = sec.service(new KeptLog());
  const server = sec.service(new KeptLog());
  const session = await client.prepare(DEFAULTS, NAME);
  assert(!isOapFailure(session));
  if (isOapFailure(session)) return;
  for (const [at, copy] of flipped(session.request)) {
    assert(isOapFailure(await server.serve(DEFAULTS, NAME, copy)), `byte ${at} of the request`);
  }
  const served = await server.serve(DEFAULTS, NAME, session.request);
  assert(!isOapFailure(served), "the true request after all of them");
  if (isOapFailure(served)) return;
  // A request is used up by its first answer, so each is tried on one of its own.
  for (const [at, , bit] of flipped(served.response)) {
    if (at >= HEADER_BYTES && at % 16 !== 0) continue;
    const again = await client.prepare(DEFAULTS, NAME);
    assert(!isOapFailure(again));
    if (isOapFailure(again)) return;
    const answer = await server.serve(DEFAULTS, NAME, again.request);
    assert(!isOapFailure(answer));
    if (isOapFailure(answer)) return;
    const copy = answer.response.slice();
    copy[Math.min(at, copy.length - 1)]! ^= 1 << bit;
    assert(isOapFailure(await again.complete(copy)), `byte ${at} of the answer`);
  }
});
