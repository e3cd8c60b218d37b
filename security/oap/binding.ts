/**
 * For which name a request was made (spec 40 §18.7). Pure.
 *
 * The header has no field for it, and a prototype would refuse one. But the id of a request is the client's to choose:
 * ours is 8 random bytes and 8 bytes of a hash of them with the name. A signed request that was shown to another
 * server than the one it was made for is told from one that was made for that server; from one of the prototype's,
 * whose ids are random, it is not: who wants that asks for it (`require-binding`).
 */

import { ID_BYTES } from "../../lib/wire/oap_header.ts";
import { sha256 } from "../digest.ts";
import { equalBytes } from "./port.ts";

/** Random bytes of an id. */
export const NONCE_BYTES = 8;

const LABEL = new TextEncoder().encode("ouro-oap-name\0");

function tag(nonce: Uint8Array, name: string): Uint8Array {
  return sha256(LABEL, nonce, new TextEncoder().encode(name)).subarray(0, ID_BYTES - NONCE_BYTES);
}

/** The id of a request for `name`, from 8 random bytes. */
export function boundId(nonce: Uint8Array, name: string): Uint8Array {
  const id = new Uint8Array(ID_BYTES);
  id.set(nonce);
  id.set(tag(nonce, name), NONCE_BYTES);
  return id;
}

/** Whether a request with this id says that it is for `name`. */
export function isBoundTo(id: Uint8Array, name: string): boolean {
  return equalBytes(id.subarray(NONCE_BYTES), tag(id.subarray(0, NONCE_BYTES), name));
}
