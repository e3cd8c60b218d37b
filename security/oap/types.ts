/** What the IRMd hands to OAP and gets back (spec 40 §1, §10, §11). Pure. */

import type { PeerCertificate } from "../certificate.ts";
import { sha256 } from "../digest.ts";
import { keyWords } from "../key_kind.ts";

/** Files of one side for a name; an empty string means the default path (spec 40 §13). */
export interface SecurityPaths {
  readonly enc: string;
  readonly crt: string;
  readonly key: string;
}

/** Security settings of a registered name. */
export interface NameSecurity {
  readonly server: SecurityPaths;
  readonly client: SecurityPaths;
  /** Directory of the server's files, e.g. `<sec>/server/<name>`; empty for that default. */
  readonly serverDir: string;
  /** Directory of the client's files, e.g. `<sec>/client/<name>`; empty for that default. */
  readonly clientDir: string;
  /** Whether the client side goes without certificate: whose flow it is may not use the key. */
  readonly anonymousClient?: boolean;
  /**
   * Who asked for paths that are not the defaults, unless root or the daemon's user did: they are used
   * only while that user can read them (spec 40 §18.21).
   */
  readonly owner?: { readonly uid: number; readonly gids: readonly number[] };
}

/** OAP refused: the number for the application (negative errno) and one line that says why. */
export class OapFailure {
  constructor(
    readonly code: number,
    readonly reason: string,
    /** Whether it is our own files that are wrong, whoever asks. */
    readonly own = false,
  ) {}
}

/** Whether a result is a refusal. */
export function isOapFailure(x: unknown): x is OapFailure {
  return x instanceof OapFailure;
}

/** Who is at the other end, as its verified certificate says. */
export interface PeerIdentity {
  /** Name in the certificate; empty if it has none that counts. */
  readonly name: string;
  /** SHA-256 of the certificate (DER), 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** How it proved that: the kind of its signature key, as `EC prime256v1`. */
  readonly how: string;
}

/** The identity that a certificate gives, under one of its names. */
export function identityOf(certificate: PeerCertificate, name: string): PeerIdentity {
  const how = certificate.key === undefined ? "" : keyWords(certificate.key.kind);
  return { name, fingerprint: sha256(certificate.der), how };
}

/** What the server side agreed to. */
export interface OapAccepted {
  /** Bytes for the client. */
  readonly response: Uint8Array;
  /** Packet cipher, 0 for a plain flow. */
  readonly cipherNid: number;
  /** 32 bytes, `null` for a plain flow. The holder wipes it. */
  readonly key: Uint8Array | null;
  /** What the client's application sent along. */
  readonly data: Uint8Array;
  /** The client; undefined when it did not authenticate. */
  readonly peer: PeerIdentity | undefined;
  /** Who the client is and what was agreed, in sentences for the log; empty when there is nothing to say. */
  readonly said: readonly string[];
}

/** What the client side ended with. */
export interface OapCompleted {
  readonly cipherNid: number;
  /** 32 bytes, `null` for a plain flow. The holder wipes it. */
  readonly key: Uint8Array | null;
  /** What the server's application sent along. */
  readonly data: Uint8Array;
  /** The server; undefined when it did not authenticate. */
  readonly peer: PeerIdentity | undefined;
  /** Who the server is and what was agreed, as in {@linkcode OapAccepted}. */
  readonly said: readonly string[];
}

/** What was agreed, for the log; a cipher that protects no packet from changes is told as such. */
export function negotiatedText(
  kex: string,
  cipher: { readonly word: string; readonly tagBytes: number },
): string {
  const weak = cipher.tagBytes > 0
    ? ""
    : ` ${cipher.word} has no integrity: packets can be changed on the way.`;
  return `Negotiated ${kex} + ${cipher.word}.${weak}`;
}
