/**
 * Finding the program that `irm bind program` names (spec 21 A4.1).
 *
 * Like the prototype: a word that is a path (from the working directory too) stands for that file;
 * otherwise it is looked up in PATH. Beyond it: a word that is one of our own tools and is not
 * found stands for the link beside the ouro binary, or for the bare word, which the IRMd starts as
 * an applet of its own binary.
 */

import { Errno } from "../lib/errno.ts";
import { byteLength } from "./grammar.ts";
import { NAME_BYTES_MAX } from "../lib/limits.ts";
import type { System } from "./context.ts";

/** The executable to bind, or a negative error number and why. */
export type Program =
  | { readonly path: string }
  | { readonly code: number; readonly cause: string };

/** Looks a program up. */
export function findProgram(word: string, system: System): Program {
  const program = lookUp(word, system);
  if ("path" in program) {
    if (byteLength(program.path) > NAME_BYTES_MAX) {
      return { code: -Errno.EINVAL, cause: `path of more than ${NAME_BYTES_MAX} bytes` };
    }
    return program;
  }
  if (program.code !== -Errno.ENOENT || !system.ownTools.includes(word)) {
    return program;
  }
  const beside = system.binaryDir === undefined ? undefined : `${system.binaryDir}/${word}`;
  const found = beside === undefined ? undefined : system.stat(beside);
  return { path: beside && found && !found.directory ? beside : word };
}

function lookUp(word: string, system: System): Program {
  if (word === "") return { code: -Errno.ENOENT, cause: "no program given" };
  const real = system.realPath(word);
  let path = "path" in real ? ownName(word, real.path, system) : word;
  // A directory that happens to have the name of the program is not meant.
  if (!word.includes("/") && system.stat(path)?.directory) path = word;
  if (path.includes("/")) {
    const found = system.stat(path);
    if (!found) return { code: -Errno.ENOENT, cause: "no such file" };
    if (found.directory) return { code: -Errno.EPERM, cause: "it is a directory" };
    if (!found.ownerMayExecute) return { code: -Errno.EPERM, cause: "it is not executable" };
    return { path };
  }
  return searchPath(path, system);
}

/**
 * The path to bind for a word and where its links lead. A link with the name of one of our programs leads
 * to the ouro binary, but it is the link's name that processes announce, so it stays.
 */
function ownName(word: string, real: string, system: System): string {
  const name = word.slice(word.lastIndexOf("/") + 1);
  if (real.endsWith(`/${name}`) || !system.ownTools.includes(name)) return real;
  const directory = system.realPath(word.slice(0, -name.length) || ".");
  return "path" in directory ? `${directory.path}/${name}` : real;
}

function searchPath(word: string, system: System): Program {
  if (system.path === undefined) return { code: -Errno.ENOENT, cause: "PATH is not set" };
  let notExecutable: string | undefined;
  for (const directory of system.path.split(":")) {
    if (!directory.startsWith("/")) {
      return { code: -Errno.EINVAL, cause: `PATH has "${directory}", which is not absolute` };
    }
    const candidate = `${directory}/${word}`;
    const found = system.stat(candidate);
    if (!found || found.directory) continue;
    if (found.ownerMayExecute) return { path: candidate };
    notExecutable ??= candidate;
  }
  return notExecutable === undefined
    ? { code: -Errno.ENOENT, cause: "not found in PATH" }
    : { code: -Errno.EPERM, cause: `${notExecutable} is not executable` };
}
