/** WebCrypto with the post-quantum signatures. */

/** The signature methods of WebCrypto with algorithms that the type library does not know yet. */
interface PqSubtle {
  importKey(
    format: "spki" | "pkcs8",
    bytes: Uint8Array<ArrayBuffer>,
    name: string,
    extractable: boolean,
    usages: string[],
  ): Promise<CryptoKey>;
  sign(name: string, key: CryptoKey, data: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>;
  verify(
    name: string,
    key: CryptoKey,
    signature: Uint8Array<ArrayBuffer>,
    data: Uint8Array<ArrayBuffer>,
  ): Promise<boolean>;
}
/** WebCrypto as it is. */
export const pqSubtle = crypto.subtle as unknown as PqSubtle;
