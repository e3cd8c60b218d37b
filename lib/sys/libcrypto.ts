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
  EVP_CIPHER_CTX_ctrl: { parameters: ["pointer", "i32", "i32", "pointer"], result: "i32" },
  // int EVP_CipherInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *type, ENGINE *impl,
  //                       const unsigned char *key, const unsigned char *iv, int enc)
  EVP_CipherInit_ex: {
    parameters: ["pointer", "pointer", "pointer", "buffer", "pointer", "i32"],
    result: "i32",
  },
  // OpenSSL 3: int EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *type,
  //   const unsigned char *key, const unsigned char *iv, int enc, const OSSL_PARAM params[])
  EVP_CipherInit_ex2: {
    parameters: ["pointer", "pointer", "pointer", "pointer", "i32", "pointer"],
    result: "i32",
    optional: true,
  },
  // OpenSSL 3: int EVP_CIPHER_CTX_get_params(EVP_CIPHER_CTX *ctx, OSSL_PARAM params[])
  EVP_CIPHER_CTX_get_params: {
    parameters: ["pointer", "pointer"],
    result: "i32",
    optional: true,
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
const BUFFER_BYTES = 128;

/** `OSSL_PARAM_OCTET_STRING` of `openssl/core.h`. */
const PARAM_OCTET_STRING = 5n;

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

/** Memory that stays where it is, with its address. */
class Place {
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(BUFFER_BYTES);
  readonly pointer: Deno.PointerObject = Deno.UnsafePointer.of(this.bytes)!;
}

/**
 * IV and tag of the packet at hand, shared by the keys of one flow. Written before a call and read
 * after it.
 */
export class IvAndTag {
  readonly #iv = new Place();
  readonly #tag = new Place();
  /** `int *outl`, and a place for what Final writes (these ciphers write nothing). */
  readonly #outl = new Place();
  readonly #final = new Place();
  /** `{ "tag", OCTET_STRING, tag, tagBytes, … }` and the end mark: spares OpenSSL 3 a translation. */
  readonly #params = new Place();
  readonly #name = new Place();

  constructor(tagBytes: number) {
    this.#name.bytes.set(new TextEncoder().encode("tag"));
    new BigUint64Array(this.#params.bytes.buffer).set([
      Deno.UnsafePointer.value(this.#name.pointer),
      PARAM_OCTET_STRING,
      Deno.UnsafePointer.value(this.#tag.pointer),
      BigInt(tagBytes),
    ]);
  }

  get iv(): Uint8Array<ArrayBuffer> {
    return this.#iv.bytes;
  }

  get tag(): Uint8Array<ArrayBuffer> {
    return this.#tag.bytes;
  }

  /** Addresses for this module's calls; valid as long as the object. */
  pointers() {
    return {
      iv: this.#iv.pointer,
      tag: this.#tag.pointer,
      outl: this.#outl.pointer,
      final: this.#final.pointer,
      params: this.#params.pointer,
    };
  }
}

/** One key of one packet cipher, both directions, contexts reused from packet to packet. */
export class EvpCipher implements Disposable {
  /** Objects not disposed of. */
  static live = 0;

  readonly #lib: Library;
  readonly #tagBytes: number;
  readonly #seal: Deno.PointerObject;
  readonly #open: Deno.PointerObject;
  /** Holds the memory that the addresses below are of. */
  readonly #io: IvAndTag;
  readonly #iv: Deno.PointerObject;
  readonly #tag: Deno.PointerObject;
  readonly #outl: Deno.PointerObject;
  readonly #final: Deno.PointerObject;
  /** Tag parameters for OpenSSL 3, `null` for a cipher without tag. */
  readonly #params: Deno.PointerObject | null;
  readonly #isThree: boolean;
  #gone = false;

  private constructor(
    lib: Library,
    [seal, open]: [Deno.PointerObject, Deno.PointerObject],
    io: IvAndTag,
    tagBytes: number,
  ) {
    this.#lib = lib;
    this.#seal = seal;
    this.#open = open;
    this.#tagBytes = tagBytes;
    this.#io = io;
    const { iv, tag, outl, final, params } = io.pointers();
    this.#iv = iv;
    this.#tag = tag;
    this.#outl = outl;
    this.#final = final;
    this.#params = tagBytes === 0 ? null : params;
    this.#isThree = lib.EVP_CipherInit_ex2 !== null && lib.EVP_CIPHER_CTX_get_params !== null;
    EvpCipher.live++;
  }

  /**
   * A cipher by its OpenSSL name (`aes-256-gcm`); `null` when libcrypto or the cipher is not there.
   * The key is copied by libcrypto.
   */
  static create(
    name: string,
    key: Uint8Array<ArrayBuffer>,
    io: IvAndTag,
    tagBytes: number,
  ): EvpCipher | null {
    const lib = library();
    if (!lib) return null;
    const type = lib.EVP_get_cipherbyname(new TextEncoder().encode(name + "\0"));
    if (type === null) return null;
    const made: Deno.PointerObject[] = [];
    for (const enc of [1, 0]) {
      const ctx = lib.EVP_CIPHER_CTX_new();
      if (ctx !== null) made.push(ctx);
      const { iv } = io.pointers();
      if (ctx === null || lib.EVP_CipherInit_ex(ctx, type, null, key, iv, enc) !== 1) {
        for (const m of made) lib.EVP_CIPHER_CTX_free(m);
        return null;
      }
      lib.EVP_CIPHER_CTX_set_padding(ctx, 0);
    }
    return new EvpCipher(lib, [made[0]!, made[1]!], io, tagBytes);
  }

  /**
   * Encrypts `len` bytes at the start of `src` to the start of `dst` under the IV of the shared
   * buffers, and leaves the tag there. Nothing is allocated.
   */
  seal(src: Uint8Array<ArrayBuffer>, len: number, dst: Uint8Array<ArrayBuffer>): boolean {
    const lib = this.#lib;
    const ctx = this.#seal;
    if (this.#gone || len > src.length || len > dst.length) return false;
    const begun = this.#isThree
      ? lib.EVP_CipherInit_ex2!(ctx, null, null, this.#iv, 1, null)
      : lib.EVP_CipherInit_ex(ctx, null, null, null, this.#iv, 1);
    if (begun !== 1) return false;
    if (len > 0 && lib.EVP_CipherUpdate(ctx, dst, this.#outl, src, len) !== 1) return false;
    const params = this.#params;
    if (params === null) return true; // Final of the CTR ciphers does nothing.
    if (lib.EVP_CipherFinal_ex(ctx, this.#final, this.#outl) !== 1) return false;
    return this.#isThree
      ? lib.EVP_CIPHER_CTX_get_params!(ctx, params) === 1
      : lib.EVP_CIPHER_CTX_ctrl(ctx, CTRL_GET_TAG, this.#tagBytes, this.#tag) === 1;
  }

  /**
   * Decrypts `len` bytes at the start of `src` to the start of `dst` under the IV and tag of the
   * shared buffers; `false` when the tag is wrong, and `dst` then holds bytes that must not be used.
   */
  open(src: Uint8Array<ArrayBuffer>, len: number, dst: Uint8Array<ArrayBuffer>): boolean {
    const lib = this.#lib;
    const ctx = this.#open;
    const params = this.#params;
    if (this.#gone || len > src.length || len > dst.length) return false;
    const begun = this.#isThree
      ? lib.EVP_CipherInit_ex2!(ctx, null, null, this.#iv, 0, params)
      : lib.EVP_CipherInit_ex(ctx, null, null, null, this.#iv, 0);
    if (begun !== 1) return false;
    if (
      !this.#isThree && params !== null &&
      lib.EVP_CIPHER_CTX_ctrl(ctx, CTRL_SET_TAG, this.#tagBytes, this.#tag) !== 1
    ) return false;
    if (len > 0 && lib.EVP_CipherUpdate(ctx, dst, this.#outl, src, len) !== 1) return false;
    if (params === null) return true;
    return lib.EVP_CipherFinal_ex(ctx, this.#final, this.#outl) === 1;
  }

  /** Frees the contexts; libcrypto wipes the key schedule. */
  [Symbol.dispose](): void {
    if (this.#gone) return;
    this.#gone = true;
    EvpCipher.live--;
    this.#lib.EVP_CIPHER_CTX_free(this.#seal);
    this.#lib.EVP_CIPHER_CTX_free(this.#open);
    this.#io.tag.fill(0);
  }
}
