/**
 * The tree of what a process knows (RIB): components by name, in each of them objects by name, each object a set of
 * typed values and the text in which the prototype's file system shows them (spec 80 §8). Pure.
 *
 * Whatever shows state reads this tree. An object is made when it is read, so that keeping the tree costs nothing.
 */

/** A value of an object. */
export type RibValue = number | string | boolean | bigint;

/** An object as it is now. */
export interface RibObject {
  readonly values: Readonly<Record<string, RibValue>>;
  /** As a file shows it. */
  readonly text: string;
  /** When it last changed, s since 1970; now when absent. */
  readonly changedSec?: number;
}

/** A directory of objects. */
export interface RibComponent {
  readonly name: string;
  /** Names of its objects. */
  list(): readonly string[];
  /** An object as it is now; undefined if there is none of that name. */
  read(name: string): RibObject | undefined;
}

/** What can be shown as files. */
export interface RibTree {
  /** Names of components (`component` empty), or of the objects of one; undefined if there is none. */
  list(component: string): readonly string[] | undefined;
  read(component: string, name: string): RibObject | undefined;
}

/** The components of a process. */
export class Rib implements RibTree {
  readonly #sources: (() => readonly RibComponent[])[] = [];

  /** Adds components; which ones may change with time. */
  add(source: () => readonly RibComponent[]): void {
    this.#sources.push(source);
  }

  /** All components in the order of their names' bytes. */
  components(): RibComponent[] {
    return this.#sources.flatMap((s) => s()).sort((a, b) => order(a.name, b.name));
  }

  /** Names of components (`component` empty), or of the objects of one; undefined if there is none. */
  list(component: string): string[] | undefined {
    if (component === "") return this.components().map((c) => c.name);
    const found = this.#find(component);
    return found === undefined ? undefined : [...found.list()].sort(order);
  }

  read(component: string, name: string): RibObject | undefined {
    return this.#find(component)?.read(name);
  }

  #find(name: string): RibComponent | undefined {
    return this.components().find((c) => c.name === name);
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A component whose objects are known by name beforehand. */
export function fixedComponent(
  name: string,
  objects: Readonly<Record<string, () => RibObject>>,
): RibComponent {
  return {
    name,
    list: () => Object.keys(objects),
    read: (object) => Object.hasOwn(objects, object) ? objects[object]!() : undefined,
  };
}

/** A time as the files show it: `2026-11-23 11:10:39 (UTC)`. */
export function timeText(sec: number): string {
  const iso = new Date(Math.floor(sec) * 1000).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} (UTC)`;
}

/** A line of a file: a label, padded, and a value, right-aligned. */
export function line(
  label: string,
  value: RibValue,
  labelWidth: number,
  valueWidth: number,
): string {
  return `${label.padEnd(labelWidth)}${`${value}`.padStart(valueWidth)}\n`;
}
