/**
 * Joined test files: `deno test` makes a new runtime for each file it is given, which costs more than
 * most of our files take to run. A module that imports a share of them makes one.
 */

import { join, toFileUrl } from "@std/path";

/** The test files below a directory, sorted. */
export async function testFilesBelow(dir: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(dir)) {
    const path = join(dir, entry.name);
    if (entry.isDirectory) found.push(...await testFilesBelow(path));
    else if (entry.name.endsWith("_test.ts")) found.push(path);
  }
  return found.sort();
}

/** `count` shares in turn, so that neighbours, which cost alike, are spread; none is empty. */
export function dealOut<T>(items: readonly T[], count: number): T[][] {
  const shares: T[][] = Array.from(
    { length: Math.max(1, Math.min(count, items.length)) },
    () => [],
  );
  items.forEach((item, i) => shares[i % shares.length]!.push(item));
  return shares;
}

/** The source of a module that runs the tests of `files` (absolute paths). */
export function joinedModule(files: readonly string[]): string {
  return files.map((file) => `import ${JSON.stringify(toFileUrl(file).href)};\n`).join("");
}
