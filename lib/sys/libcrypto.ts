/**
 * Packet ciphers of OpenSSL's libcrypto (EVP interface, `openssl/evp.h`), checked with 3.0; the calls
 * used are the same in 1.1 and 3.x.
 *
 * Safety: an `EvpCipher` belongs to one thread. Arrays given to a call must stay as long as their
 * lengths say during it (FFI calls here are synchronous, so nothing runs meanwhile). Source and
 * destination may be the same place, but must not overlap otherwise.
 */

/** C declarations beside each parameter. */
const SYMBOLS = {
  // const char *OpenSSL_version(int type)
  OpenSSL_version: { parameters: ["i32"], result: "pointer" },
  // const EVP_CIPHER *EVP_get_cipherbyname(const char *name)
  EVP_get_cipherbyname: { parameters: ["buffer"], result: "pointer" },
  // EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void)
  EVP_CIPHER_CTX_new: { parameters: [], result: "pointer" },
  // void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx)
  EVP_CIPHER_CTX_free: { parameters: ["pointer"], result: "void" },
  // int EVP_CIPHER_CTX_set_padding(EVP_CIPHER_CTX *ctx, int pad)
  EVP_CIPHER_CTX_set_padding: { parameters: ["pointer", "i32"], result: "i32" },
  // int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr)
  EVP_CIPHER_CTX_ctrl: { parameters: ["pointer", "i32", "i32", "buffer"], result: "i32" },
  // int EVP_CipherInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *type, ENGINE *impl,
  //                       const unsigned char *key, const unsigned char *iv, int enc)
  EVP_CipherInit_ex: {
    parameters: ["pointer", "pointer", "pointer", "buffer", "buffer", "i32"],
    result: "i32",
  },
  // int EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl,
  //                      const unsigned char *in, int inl)
  EVP_CipherUpdate: {
    parameters: ["pointer", "buffer", "pointer", "buffer", "i32"],
    result: "i32",
  },
  // int EVP_CipherFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *outm, int *outl)
  EVP_CipherFinal_ex: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** `EVP_CTRL_AEAD_GET_TAG` and `EVP_CTRL_AEAD_SET_TAG` of `openssl/evp.h`. */
const CTRL_GET_TAG = 0x10;
const CTRL_SET_TAG = 0x11;

/** Larger than what V8 keeps inside its moving heap (64 bytes), so that the address stays. */
const OUT_BYTES = 256;

/** Where libcrypto is looked for, newest interface first. */
const NAMES = ["libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so"];

let opened: Library | null | undefined;

function library(): Library | null {
  if (opened !== undefined) return opened;
  for (const name of NAMES) {
    try {
      return opened = Deno.dlopen(name, SYMBOLS).symbols;
    } catch {
      // Not there or too old: the next name, else the fall-back of the caller.
    }
  }
  return opened = null;
}

/** The library's own version line, e.g. `OpenSSL 3.0.22 25 Aug 2026`; `null` without libcrypto. */
export function libcryptoVersion(): string | null {
  const lib = library();
  if (!lib) return null;
  const text = lib.OpenSSL_version(0);
  return text === null ? null : Deno.UnsafePointerView.getCString(text);
}

/** One key of one packet cipher, both directions, contexts reused from packet to packet. */
export class EvpCipher implements Disposable {
  /** Objects not disposed of. */
  static live = 0;

  readonly #lib: Library;
  readonly #tagBytes: number;
  readonly #seal: Deno.PointerObject;
  readonly #open: Deno.PointerObject;
  /** `int *outl` and, behind it, the place Final may write to (these ciphers write nothing). */
  readonly #out = new Uint8Array(OUT_BYTES);
  readonly #outl = Deno.UnsafePointer.of(this.#out);
  readonly #final = Deno.UnsafePointer.of(this.#out.subarray(OUT_BYTES / 2));
  #gone = false;

  private constructor(
    lib: Library,
    seal: Deno.PointerObject,
    open: Deno.PointerObject,
    tagBytes: number,
  ) {
    this.#lib = lib;
    this.#seal = seal;
    this.#open = open;
    this.#tagBytes = tagBytes;
    EvpCipher.live++;
  }

  /**
   * A cipher by its OpenSSL name (`aes-256-gcm`); `null` when libcrypto or the cipher is not there.
   * The key is copied by libcrypto.
   */
  static create(
    name: string,
    key: Uint8Array<ArrayBuffer>,
    ivBytes: number,
    tagBytes: number,
  ): EvpCipher | null {
    const lib = library();
    if (!lib) return null;
    const type = lib.EVP_get_cipherbyname(new TextEncoder().encode(name + "\0"));
    if (type === null) return null;
    const iv = new Uint8Array(ivBytes);
    const made: Deno.PointerObject[] = [];
    for (const enc of [1, 0]) {
      const ctx = lib.EVP_CIPHER_CTX_new();
      if (ctx !== null) made.push(ctx);
      if (ctx === null || lib.EVP_CipherInit_ex(ctx, type, null, key, iv, enc) !== 1) {
        for (const m of made) lib.EVP_CIPHER_CTX_free(m);
        return null;
      }
      lib.EVP_CIPHER_CTX_set_padding(ctx, 0);
    }
    return new EvpCipher(lib, made[0]!, made[1]!, tagBytes);
  }

  /**
   * Encrypts `len` bytes at the start of `src` to the start of `dst` and writes the tag to `tag`.
   * Nothing is allocated. The caller has checked that the arrays are long enough.
   */
  seal(
    iv: Uint8Array<ArrayBuffer>,
    src: Uint8Array<ArrayBuffer>,
    len: number,
    dst: Uint8Array<ArrayBuffer>,
    tag: Uint8Array<ArrayBuffer>,
  ): boolean {
    const lib = this.#lib;
    const ctx = this.#seal;
    if (this.#gone || len > src.length || len > dst.length) return false;
    if (lib.EVP_CipherInit_ex(ctx, null, null, null, iv, 1) !== 1) return false;
    if (len > 0 && lib.EVP_CipherUpdate(ctx, dst, this.#outl, src, len) !== 1) return false;
    if (lib.EVP_CipherFinal_ex(ctx, this.#final, this.#outl) !== 1) return false;
    if (this.#tagBytes === 0) return true;
    return lib.EVP_CIPHER_CTX_ctrl(ctx, CTRL_GET_TAG, this.#tagBytes, tag) === 1;
  }

  /**
   * Decrypts `len` bytes at the start of `src` to the start of `dst`; `false` when the tag is wrong,
   * and `dst` then holds bytes that must not be used.
   */
  open(
    iv: Uint8Array<ArrayBuffer>,
    src: Uint8Array<ArrayBuffer>,
    len: number,
    dst: Uint8Array<ArrayBuffer>,
    tag: Uint8Array<ArrayBuffer>,
  ): boolean {
    const lib = this.#lib;
    const ctx = this.#open;
    if (this.#gone || len > src.length || len > dst.length) return false;
    if (lib.EVP_CipherInit_ex(ctx, null, null, null, iv, 0) !== 1) return false;
    if (
      this.#tagBytes !== 0 &&
      lib.EVP_CIPHER_CTX_ctrl(ctx, CTRL_SET_TAG, this.#tagBytes, tag) !== 1
    ) return false;
    if (len > 0 && lib.EVP_CipherUpdate(ctx, dst, this.#outl, src, len) !== 1) return false;
    return lib.EVP_CipherFinal_ex(ctx, this.#final, this.#outl) === 1;
  }

  /** Frees the contexts; libcrypto wipes the key schedule. */
  [Symbol.dispose](): void {
    if (this.#gone) return;
    this.#gone = true;
    EvpCipher.live--;
    this.#lib.EVP_CIPHER_CTX_free(this.#seal);
    this.#lib.EVP_CIPHER_CTX_free(this.#open);
  }
}
