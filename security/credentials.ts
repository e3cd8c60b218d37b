/** What a side authenticates with. */

import type { PeerCertificate } from "./certificate.ts";
import type { SigningKey } from "./signing_key.ts";

/** Certificate and key of a side. */
export interface Credentials {
  readonly certificate: PeerCertificate;
  readonly key: SigningKey;
}
