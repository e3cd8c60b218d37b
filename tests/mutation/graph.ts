/** Which tests see a file: the imports between the files of the house, walked from tests downwards. */

import { dirname, join, relative } from "@std/path";

const IMPORT = /(?:from|import)\s*\(?\s*"(\.[^"]+)"/g;

/** Files that a file of the house imports, as paths from the root. */
function importsOf(root: string, path: string): string[] {
  const text = Deno.readTextFileSync(join(root, path));
  return [...text.matchAll(IMPORT)].map((m) => relative(root, join(root, dirname(path), m[1]!)))
    .filter((p) => p.endsWith(".ts"));
}

/** All TypeScript files below a folder, as paths from the root. */
export function filesBelow(root: string, folder: string): string[] {
  const found: string[] = [];
  const walk = (dir: string) => {
    for (const entry of Deno.readDirSync(join(root, dir))) {
      const path = `${dir}/${entry.name}`;
      if (entry.isDirectory) walk(path);
      else if (entry.name.endsWith(".ts")) found.push(path);
    }
  };
  walk(folder);
  return found.sort();
}

/** For each file of the house the tests that reach it by imports, the nearest first. */
export function testsByFile(root: string, tests: readonly string[]): Map<string, string[]> {
  const imports = new Map<string, string[]>();
  const reached = new Map<string, { test: string; distance: number }[]>();
  for (const test of tests) {
    const distance = new Map([[test, 0]]);
    const queue = [test];
    for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
      let below = imports.get(path);
      if (below === undefined) {
        try {
          below = importsOf(root, path);
        } catch {
          below = []; // Named in a text, not a file.
        }
        imports.set(path, below);
      }
      for (const next of below) {
        if (distance.has(next)) continue;
        distance.set(next, distance.get(path)! + 1);
        queue.push(next);
      }
    }
    for (const [path, far] of distance) {
      const list = reached.get(path) ?? [];
      list.push({ test, distance: far });
      reached.set(path, list);
    }
  }
  return new Map([...reached].map(([path, list]) => [
    path,
    list.sort((a, b) => a.distance - b.distance).map(({ test }) => test),
  ]));
}
