/**
 * The two implementations of a packet cipher and the choice between them, made once a thread:
 * libcrypto through FFI (about 0.35 µs a packet of 64 bytes), else `node:crypto` (about 6 µs).
 */

import { gcm } from "@noble/ciphers/aes.js";
import { builtin } from "../builtin.ts";
import { EvpCipher, IvAndTag, libcryptoVersion } from "../sys/libcrypto.ts";
import type { CipherInfo } from "../wire/oap_ids.ts";

/** One key of one cipher, as `EvpCipher`: IV and tag are in the buffers it was made with. */
export interface CipherKey extends Disposable {
  seal(src: Bytes, len: number, dst: Bytes): boolean;
  open(src: Bytes, len: number, dst: Bytes): boolean;
}

/** What FFI and WebCrypto take. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** The implementations by name. */
export type BackendName = "libcrypto" | "node:crypto";

/** Bytes that the libcrypto probe encrypts; a library that gets them wrong is not used. */
const PROBE_TAG = "530f8afbc74536b9a963b4f1c4cb738b";

let chosen: BackendName | undefined;

/** The implementation in use. */
export function backend(): BackendName {
  return chosen ??= libcryptoWorks() ? "libcrypto" : "node:crypto";
}

/** For `ouro --version -v`: e.g. `libcrypto (OpenSSL 3.0.22 25 Aug 2026)` or `node:crypto`. */
export function cipherBackend(): string {
  return backend() === "libcrypto" ? `libcrypto (${libcryptoVersion() ?? "?"})` : "node:crypto";
}

/** AES-256-GCM of nothing under zero key and IV (test case 13 of the GCM specification). */
function libcryptoWorks(): boolean {
  const io = new IvAndTag(16);
  using key = EvpCipher.create("aes-256-gcm", new Uint8Array(32), io, 16);
  if (!key) return false;
  const none = new Uint8Array(0);
  return key.seal(none, 0, none) && io.tag.subarray(0, 16).toHex() === PROBE_TAG;
}

/** Makes a key; `null` when the cipher is not there. `which` is for tests. */
export function createKey(
  info: CipherInfo,
  key: Uint8Array,
  io: IvAndTag,
  which: BackendName = backend(),
): CipherKey | null {
  const used = key.slice(0, info.keyBytes);
  try {
    if (which === "libcrypto") return EvpCipher.create(info.word, used, io, info.tagBytes);
    return info.word === "aes-192-gcm"
      ? new Gcm192Key(used.slice(), io)
      : new NodeKey(info, used.slice(), io);
  } finally {
    used.fill(0);
  }
}

/** A key on top of `node:crypto`. */
class NodeKey implements CipherKey {
  constructor(
    readonly info: CipherInfo,
    readonly key: Uint8Array,
    readonly io: IvAndTag,
  ) {}

  seal(src: Bytes, len: number, dst: Bytes): boolean {
    const { word, ivBytes, tagBytes } = this.info;
    const iv = this.io.iv.subarray(0, ivBytes);
    if (tagBytes === 0) {
      dst.set(
        builtin("node:crypto").createCipheriv(word, this.key, iv).update(src.subarray(0, len)),
      );
      return true;
    }
    const c = builtin("node:crypto").createCipheriv(word as "aes-256-gcm", this.key, iv, {
      authTagLength: tagBytes,
    });
    dst.set(c.update(src.subarray(0, len)));
    c.final();
    this.io.tag.set(c.getAuthTag());
    return true;
  }

  open(src: Bytes, len: number, dst: Bytes): boolean {
    const { word, ivBytes, tagBytes } = this.info;
    const iv = this.io.iv.subarray(0, ivBytes);
    try {
      if (tagBytes === 0) {
        dst.set(
          builtin("node:crypto").createDecipheriv(word, this.key, iv).update(src.subarray(0, len)),
        );
        return true;
      }
      const d = builtin("node:crypto").createDecipheriv(word as "aes-256-gcm", this.key, iv, {
        authTagLength: tagBytes,
      });
      d.setAuthTag(this.io.tag.subarray(0, tagBytes));
      const plain = d.update(src.subarray(0, len));
      d.final();
      dst.set(plain);
      return true;
    } catch {
      return false; // A wrong tag.
    }
  }

  [Symbol.dispose](): void {
    this.key.fill(0);
  }
}

/** AES-192-GCM without libcrypto: Deno's `node:crypto` lacks just this one. */
class Gcm192Key implements CipherKey {
  constructor(readonly key: Uint8Array, readonly io: IvAndTag) {}

  seal(src: Bytes, len: number, dst: Bytes): boolean {
    const sealed = gcm(this.key, this.io.iv.subarray(0, 12)).encrypt(src.subarray(0, len));
    dst.set(sealed.subarray(0, len));
    this.io.tag.set(sealed.subarray(len));
    return true;
  }

  open(src: Bytes, len: number, dst: Bytes): boolean {
    const sealed = new Uint8Array(len + 16);
    sealed.set(src.subarray(0, len));
    sealed.set(this.io.tag.subarray(0, 16), len);
    try {
      dst.set(gcm(this.key, this.io.iv.subarray(0, 12)).decrypt(sealed));
      return true;
    } catch {
      return false; // A wrong tag.
    }
  }

  [Symbol.dispose](): void {
    this.key.fill(0);
  }
}
