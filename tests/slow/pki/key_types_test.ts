/** Chains of what `ouro pki` makes, with every key type that is made in less than seconds. */

import { assert, assertEquals } from "@std/assert";
import { init, leaf, type MakeOptions } from "../../../pki/make.ts";
import { KEY_TYPES } from "../../../pki/key_types.ts";
import { PeerCertificate } from "../../../security/certificate.ts";
import { TrustStore } from "../../../security/trust.ts";
import { pkiOptions, SecDir } from "../../support/security_dir.ts";

const options = (sec: SecDir, over: Partial<MakeOptions> = {}) => pkiOptions(sec.dir, over);

for (const keyType of KEY_TYPES.filter((t) => !/slh|rsa[34]/.test(t))) {
  Deno.test(`${keyType}: certificates chain to the root, with the extensions of RFC 5280`, async () => {
    using sec = new SecDir();
    await init(options(sec, { keyType }));
    await leaf(options(sec, { keyType, days: 2 }), "server", "svc", "svc");
    const read = (p: string) => PeerCertificate.fromPem(Deno.readTextFileSync(`${sec.dir}/${p}`))!;
    const [root, im, crt] = [
      read("cacert/root.pem"),
      read("untrusted/intermediate.pem"),
      read("server/svc/crt.pem"),
    ];
    const now = Date.now();
    assertEquals(crt.strictReason("server"), undefined);
    assert(crt.strictReason("client")?.includes("clientAuth"));
    assertEquals([crt.commonName, crt.altNames], ["svc", ["svc"]]);
    const store = new TrustStore([root, im]);
    assertEquals((await store.verify(crt, now)).ok, true);
    const later = await store.verify(crt, now + 3 * 86_400_000);
    assert(!later.ok && later.reason.includes("expired"));
    const early = await store.verify(crt, now - 3_600_000);
    assert(!early.ok && early.reason.includes("not valid before"));
    const alone = await (new TrustStore([root])).verify(crt, now);
    assert(!alone.ok && alone.reason.includes("no chain"));
    // The leaf is no CA: nothing below it is trusted.
    const below = new TrustStore([im]);
    assert(!(await below.verify(crt, now)).ok, "an intermediate alone is no anchor");
  });
}
