/**
 * Bundles the program: main.ts and every `*_worker.ts` as entry points that share chunks, so that a
 * command loads only what it uses. References to workers are made to point at their bundles.
 *
 * A worker is always started with `new URL("./x_worker.ts", import.meta.url)`; base names of worker
 * files are unique in the tree.
 */

import { basename, dirname, join, relative, SEPARATOR } from "@std/path";

/** Directories that hold no program code. */
const SKIPPED = new Set(["tests", "scripts", "dist", "docs", "node_modules", ".git", ".ci"]);

const REFERENCE = /new URL\("(\.[^"]*_worker)\.ts", import\.meta\.url\)/g;

async function* filesBelow(dir: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(dir)) {
    const path = join(dir, entry.name);
    if (entry.isDirectory) yield* filesBelow(path);
    else if (entry.isFile) yield path;
  }
}

/** All worker entry points below the root, relative to it, sorted. */
export async function findWorkers(root: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(root)) {
    if (!entry.isDirectory || SKIPPED.has(entry.name)) continue;
    for await (const path of filesBelow(join(root, entry.name))) {
      if (path.endsWith("_worker.ts")) found.push(relative(root, path));
    }
  }
  const names = found.map((path) => basename(path));
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) throw new Error(`two workers are called ${twice}`);
  return found.sort();
}

/**
 * Points the worker references of one bundled file at the worker bundles. `workers` maps a base name
 * without extension to the path of its bundle; `from` is the path of the file.
 */
export function pointAtWorkers(
  text: string,
  from: string,
  workers: ReadonlyMap<string, string>,
): string {
  return text.replace(REFERENCE, (_, reference: string) => {
    const target = workers.get(basename(reference));
    if (target === undefined) throw new Error(`${from} starts unknown worker ${reference}.ts`);
    const path = relative(dirname(from), target).split(SEPARATOR).join("/");
    return `new URL("${path.startsWith(".") ? path : `./${path}`}", import.meta.url)`;
  });
}

const IMPORT_CALL = /\bimport\(("\.[^"]*\.js")\)/g;

/**
 * Keeps a bundled file's `import("./x.js")` from being read before it is called: at a start the runtime reads, and looks
 * through, everything that it can see is imported somewhere, which here are all commands.
 */
export function importLater(text: string): string {
  return text.replace(IMPORT_CALL, "import(String($1))");
}

/** Writes the bundle into `outDir`, which is emptied first; returns its files relative to it. */
export async function bundle(root: string, outDir: string): Promise<string[]> {
  await Deno.remove(outDir, { recursive: true }).catch(() => {});
  const workers = await findWorkers(root);
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["bundle", "--quiet", "--platform", "deno", "--code-splitting", "--outdir", outDir],
      ...["main.ts", ...workers],
    ],
    cwd: root,
    stdout: "null",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).output();
  if (code !== 0) throw new Error(`deno bundle failed:\n${new TextDecoder().decode(stderr)}`);
  const targets = new Map(
    workers.map((path) => {
      const js = path.replace(/\.ts$/, ".js");
      return [basename(js, ".js"), join(outDir, js)];
    }),
  );
  const files: string[] = [];
  for await (const path of filesBelow(outDir)) {
    const text = await Deno.readTextFile(path);
    const pointed = pointAtWorkers(text, path, targets);
    if (/_worker\.ts"/.test(pointed)) {
      throw new Error(
        `${relative(outDir, path)} starts a worker in a form the build cannot follow`,
      );
    }
    if (pointed !== text) await Deno.writeTextFile(path, pointed);
    files.push(relative(outDir, path));
  }
  return files.sort();
}
