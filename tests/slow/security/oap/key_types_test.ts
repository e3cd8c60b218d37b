/** Whole allocations with every key type and digest. */

import { assertEquals } from "@std/assert";
import { DIGESTS } from "../../../../lib/wire/oap_ids.ts";
import { init, leaf } from "../../../../pki/make.ts";
import { sha256 } from "../../../../security/digest.ts";
import { onePem } from "../../../../security/pem.ts";
import { agreed, allocate, NAME, refused } from "../../../support/oap_allocation.ts";
import { ensure, pkiOptions, SecDir } from "../../../support/security_dir.ts";

/** SLH-DSA signs in seconds; one small parameter set stands for the rest. */
const KEY_TYPES = [
  "p256",
  "p384",
  "p521",
  "rsa2048",
  "rsa-pss",
  "ed25519",
  "ed448",
  "ml-dsa-44",
  "ml-dsa-65",
  "ml-dsa-87",
  "slh-dsa-sha2-128f",
];

/** What the application is told of each. */
const HOW: Record<string, string> = {
  p256: "EC prime256v1",
  p384: "EC secp384r1",
  p521: "EC secp521r1",
  rsa2048: "RSA 2048",
  "rsa-pss": "RSA-PSS 3072",
  ed25519: "Ed25519",
  ed448: "Ed448",
  "ml-dsa-44": "ML-DSA-44",
  "ml-dsa-65": "ML-DSA-65",
  "ml-dsa-87": "ML-DSA-87",
  "slh-dsa-sha2-128f": "SLH-DSA-SHA2-128f",
};

for (const keyType of KEY_TYPES) {
  Deno.test(`${keyType}: CA, server and client authenticate each other`, async () => {
    using sec = new SecDir();
    const o = pkiOptions(sec.dir, { keyType });
    await init(o);
    await leaf(o, "server", NAME, NAME);
    await leaf(o, "client", NAME, "alice");
    const out = await allocate(sec);
    const { accepted, completed } = agreed(out);
    assertEquals(accepted.peer?.name, "alice");
    assertEquals(completed.peer?.name, NAME);
    for (const [peer, file] of [[accepted.peer, "client"], [completed.peer, "server"]] as const) {
      const der = onePem(
        await Deno.readTextFile(`${sec.dir}/${file}/${NAME}/crt.pem`),
        "CERTIFICATE",
      );
      ensure(der instanceof Uint8Array && peer !== undefined);
      assertEquals(peer.fingerprint.toHex(), sha256(der).toHex());
      assertEquals(peer.how, HOW[keyType]);
    }
    assertEquals(accepted.key, null);
    ensure(out.serverLog.has("Client authenticated as alice."));
    ensure(out.serverLog.has("  Signature: ["));
  });
}

for (const keyType of ["p256", "p521", "rsa2048", "rsa-pss", "ed25519", "ml-dsa-44"]) {
  Deno.test(`${keyType}: signs with every digest that it can (spec 40 §4)`, async () => {
    using sec = new SecDir();
    const o = pkiOptions(sec.dir, { keyType });
    await init({ ...o, keyType: "p256" });
    await leaf(o, "server", NAME, NAME);
    for (const digest of DIGESTS) {
      sec.write(`client/${NAME}/enc.conf`, `kex=X25519\n`);
      sec.write(`server/${NAME}/enc.conf`, `kex=X25519\ndigest=${digest.word}\n`);
      const impossible = keyType === "ed25519" ||
        (keyType.startsWith("rsa") && digest.word.startsWith("blake2"));
      const out = await allocate(sec);
      if (impossible) {
        refused(out, -1009, "cannot sign");
        ensure(out.serverLog.has("(EE)") && out.serverLog.has("create OAP response header."));
      } else agreed(out);
    }
  });
}
