// vectors/ipcp.json by group; a group that no test walks is an error.

import { fromFileUrl } from "@std/path";

export interface IpcpVector {
  name: string;
  note?: string;
  input: unknown;
  hex: string;
  reply?: string;
  expect?: string;
}

/** The groups that tests walk: frames in lib/wire/shim_vectors_test.ts, the rest in this directory. */
export const GROUPS = [
  "eth-dix",
  "eth-llc",
  "udp4",
  "udp6",
  "irm-socket",
  "ipcp-socket",
  "cep",
  "oep",
  "ipcp-config",
  "conversation",
] as const;

const path = fromFileUrl(new URL("../../vectors/ipcp.json", import.meta.url));
let cases: IpcpVector[] | undefined;

/** All cases. */
export function allIpcpVectors(): IpcpVector[] {
  cases ??= JSON.parse(Deno.readTextFileSync(path)).cases as IpcpVector[];
  return cases;
}

/** The cases whose name starts with the group. */
export function ipcpVectors(group: string): IpcpVector[] {
  return allIpcpVectors().filter((v) => v.name.startsWith(`${group}/`));
}

export function unhex(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex);
}
