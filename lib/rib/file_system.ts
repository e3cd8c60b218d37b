/**
 * The RIB as a file system: answers the kernel's requests from what a {@linkcode RibView} says (spec 80 §8.3). Pure.
 *
 * Directories two levels deep, files made when they are opened and read to their end from there. Where the prototype
 * invents files or kills itself (spec 80 §8.5), there is just no such file here.
 */

import { Errno } from "../errno.ts";
import {
  type Attributes,
  attributesAnswer,
  DATA_BYTES_MAX,
  type DirectoryEntry,
  encode,
  entriesAnswer,
  entryAnswer,
  type FuseRequest,
  initAnswer,
  Op,
  openAnswer,
  ROOT,
  statfsAnswer,
} from "../wire/fuse.ts";

/** What a view answers. */
export type RibAnswer =
  | { readonly kind: "names"; readonly names: readonly string[] }
  | { readonly kind: "text"; readonly bytes: Uint8Array; readonly changedSec: number }
  /** There is no such thing. */
  | { readonly kind: "none" }
  /** Nobody answered in time. */
  | { readonly kind: "late" };

/** Where the tree can be asked. */
export interface RibView {
  /** Names in a component, of the components if it is empty. */
  list(component: string): RibAnswer;
  read(component: string, name: string): RibAnswer;
}

/** Files and directories that may be open at once. */
export const HANDLES_MAX = 1024;

interface Node {
  readonly id: number;
  readonly component: string;
  /** Empty: the component itself. */
  readonly file: string;
  lookups: number;
}

const ROOT_NODE: Node = { id: ROOT, component: "", file: "", lookups: 1 };

export class RibFileSystem {
  readonly #view: RibView;
  readonly #uid: number;
  readonly #gid: number;
  readonly #nodes = new Map<number, Node>([[ROOT, ROOT_NODE]]);
  readonly #ids = new Map<string, number>();
  readonly #files = new Map<number, Uint8Array>();
  readonly #directories = new Map<number, readonly DirectoryEntry[]>();
  #nextNode = ROOT + 1;
  #nextHandle = 1;

  constructor(view: RibView, uid: number, gid: number) {
    this.#view = view;
    this.#uid = uid;
    this.#gid = gid;
  }

  /** Nodes that the kernel knows, and handles that it has open. */
  get size(): { nodes: number; handles: number } {
    return { nodes: this.#nodes.size, handles: this.#files.size + this.#directories.size };
  }

  /** Answers a request; undefined where none is wanted. */
  answer(r: FuseRequest, nowSec: number): Uint8Array<ArrayBuffer> | undefined {
    if (r.op === Op.forget) return void this.#forget(r.node, r.numbers[0] ?? 0);
    if (r.op === Op.batchForget) {
      for (let i = 0; i + 1 < r.numbers.length; i += 2) {
        this.#forget(r.numbers[i]!, r.numbers[i + 1]!);
      }
      return undefined;
    }
    if (r.op === Op.interrupt || r.op === Op.destroy) return undefined;
    return encode(r, this.#serve(r, Math.floor(nowSec)));
  }

  #serve(r: FuseRequest, nowSec: number): number | Uint8Array {
    switch (r.op) {
      case Op.init:
        return r.numbers[0] === 7 ? initAnswer() : EPROTO;
      case Op.statfs:
        return statfsAnswer();
      case Op.lookup:
        return this.#lookup(r, nowSec);
      case Op.getattr: {
        const a = this.#attributes(this.#nodes.get(r.node), nowSec);
        return typeof a === "number" ? a : attributesAnswer(a);
      }
      case Op.open:
        return this.#open(r.node);
      case Op.opendir:
        return this.#openDirectory(r.node);
      case Op.read: {
        const bytes = this.#files.get(r.handle);
        const most = Math.min(r.size, DATA_BYTES_MAX);
        return bytes?.subarray(r.offset, r.offset + most) ?? Errno.EBADF;
      }
      case Op.readdir: {
        const entries = this.#directories.get(r.handle);
        return entries === undefined ? Errno.EBADF : entriesAnswer(entries, r.offset, r.size);
      }
      case Op.release:
        this.#files.delete(r.handle);
        return NOTHING;
      case Op.releasedir:
        this.#directories.delete(r.handle);
        return NOTHING;
      case Op.flush:
      case Op.access:
        return NOTHING;
      default:
        return ENOSYS;
    }
  }

  #lookup(r: FuseRequest, nowSec: number): number | Uint8Array {
    const parent = this.#nodes.get(r.node);
    if (parent === undefined || parent.file !== "" || r.name === "") return ENOENT;
    const [component, file] = parent.id === ROOT ? [r.name, ""] : [parent.component, r.name];
    const path = `${component}/${file}`;
    const id = this.#ids.get(path) ?? this.#nextNode;
    const known = this.#nodes.get(id);
    const node = known ?? { id, component, file, lookups: 0 };
    const a = this.#attributes(node, nowSec);
    if (typeof a === "number") return a;
    if (known === undefined) {
      this.#nextNode++;
      this.#nodes.set(id, node);
      this.#ids.set(path, id);
    }
    node.lookups++;
    return entryAnswer(a);
  }

  #attributes(node: Node | undefined, nowSec: number): Attributes | number {
    if (node === undefined) return ENOENT;
    const { id, component, file } = node;
    const of = { node: id, uid: this.#uid, gid: this.#gid };
    if (file !== "") {
      const read = this.#view.read(component, file);
      if (read.kind !== "text") return errorOf(read);
      return { ...of, directory: false, size: read.bytes.length, timeSec: read.changedSec };
    }
    if (id !== ROOT) {
      const listed = this.#view.list(component);
      if (listed.kind !== "names") return errorOf(listed);
    }
    return { ...of, directory: true, size: 0, timeSec: nowSec };
  }

  #open(id: number): number | Uint8Array {
    const node = this.#nodes.get(id);
    if (node === undefined || node.file === "") return ENOENT;
    const read = this.#view.read(node.component, node.file);
    if (read.kind !== "text") return errorOf(read);
    return this.#handle(this.#files, read.bytes, true);
  }

  #openDirectory(id: number): number | Uint8Array {
    const node = this.#nodes.get(id);
    if (node === undefined || node.file !== "") return ENOENT;
    const listed = this.#view.list(node.component);
    if (listed.kind !== "names") return errorOf(listed);
    const directory = id === ROOT;
    const entries = listed.names.map((name) => ({ name, directory }));
    return this.#handle(this.#directories, [...DOTS, ...entries], false);
  }

  #handle<T>(table: Map<number, T>, what: T, file: boolean): number | Uint8Array {
    if (this.size.handles >= HANDLES_MAX) return ENFILE;
    const handle = this.#nextHandle++;
    table.set(handle, what);
    return openAnswer(handle, file);
  }

  #forget(id: number, lookups: number): void {
    const node = this.#nodes.get(id);
    if (node === undefined || id === ROOT) return;
    node.lookups -= lookups;
    if (node.lookups > 0) return;
    this.#nodes.delete(id);
    this.#ids.delete(`${node.component}/${node.file}`);
  }
}

const NOTHING = new Uint8Array(0);
const DOTS: readonly DirectoryEntry[] = [
  { name: ".", directory: true },
  { name: "..", directory: true },
];

const { ENOENT, EIO, ENFILE } = Errno;
// Of <asm-generic/errno.h>; what `lib/errno.ts` has not.
const ENOSYS = 38;
const EPROTO = 71;

function errorOf(answer: RibAnswer): number {
  return answer.kind === "late" ? EIO : ENOENT;
}
