/** `[name.<name>]` of the configuration (spec 21 B2). Pure. */

import { type BoundFor, PolLb } from "../../lib/irm/messages.ts";
import { NAME_BYTES_MAX, SECURITY_PATH_BYTES_MAX } from "../../lib/limits.ts";
import { byteLength, checkText, noneOf, type Problems, TableReader } from "./table.ts";
import type { TomlTable, TomlValue } from "./toml.ts";
import type { NameConfig, ProgramConfig, SecurityPaths } from "./types.ts";
import { splitWords } from "./words.ts";

/** The file says `spill` where the command line says `spillover`; both are taken. */
const POLICIES: Readonly<Record<string, number>> = {
  spill: PolLb.SPILLOVER,
  spillover: PolLb.SPILLOVER,
  "round-robin": PolLb.ROUND_ROBIN,
};

/** Whether a name can be one; complains if not. */
export function nameValid(name: string, line: number, problems: Problems): boolean {
  const bytes = byteLength(name);
  if (bytes > NAME_BYTES_MAX) {
    problems.add(line, `Name too long: ${bytes} bytes, at most ${NAME_BYTES_MAX}.`);
  } else if (name === "") {
    problems.add(line, "Name is empty.");
  } else if (name.includes("\0")) {
    problems.add(line, "Name has a NUL character.");
  } else {
    return true;
  }
  return false;
}

/** Reads one table. The result counts only if nothing was added to the problems. */
export function readName(name: string, table: TomlTable, problems: Problems): NameConfig {
  nameValid(name, table.line, problems);
  const reader = new TableReader(table, `[name.${name}]`, problems);
  const lb = reader.string("lb") ?? "spill";
  const polLb = Object.hasOwn(POLICIES, lb) ? POLICIES[lb]! : PolLb.INVALID;
  if (polLb === PolLb.INVALID) {
    problems.add(
      reader.lineOf("lb"),
      `Invalid load-balancing policy for ${name}.${noneOf(lb, ["spillover", "round-robin"])}`,
    );
  }
  const path = (key: string): string => reader.string(key, SECURITY_PATH_BYTES_MAX) ?? "";
  const security: SecurityPaths = {
    senc: path("server_enc_file"),
    scrt: path("server_crt_file"),
    skey: path("server_key_file"),
    cenc: path("client_enc_file"),
    ccrt: path("client_crt_file"),
    ckey: path("client_key_file"),
  };
  const by = reader.string("by");
  const programs = readPrograms(name, reader, readBoundFor(reader, problems), problems);
  reader.finish();
  return { kind: "name", line: table.line, name, polLb, security, by, programs };
}

/** `user`, `group` or `any`, our additions. */
function readBoundFor(reader: TableReader, problems: Problems): BoundFor | undefined {
  const user = reader.string("user");
  const group = reader.string("group");
  const any = reader.boolean("any") ? 1 : undefined;
  const said = [user, group, any].filter((word) => word !== undefined).length;
  if (said > 1) {
    problems.add(reader.table.line, `${reader.title} is for one of user, group and any.`);
  }
  return said === 0 ? undefined : { user, group, any };
}

/** One element of `prog`. */
interface Element {
  readonly line: number;
  readonly path: string;
  readonly args?: string[] | undefined;
  readonly boundFor?: BoundFor | undefined;
  readonly by?: string | undefined;
}

/** A path, or a table of our own that says more of one program: `{ path, args, user | group | any, by }`. */
function readElement(value: TomlValue, title: string, problems: Problems): Element[] {
  const { line } = value;
  if (value.kind === "string") {
    const path = checkText(value, `element of prog in ${title}`, problems);
    return path === undefined ? [] : [{ line, path }];
  }
  if (value.kind !== "table") {
    problems.add(line, `element of prog in ${title} must be a string or a table.`);
    return [];
  }
  const reader = new TableReader(value, `prog of ${title}`, problems);
  const path = reader.string("path");
  if (path === undefined && !reader.has("path")) {
    problems.add(line, `prog of ${title} has a table without path.`);
  }
  const words = value.entries.get("args");
  if (words !== undefined) reader.items("args");
  const args = words?.kind === "array" ? readWords(words, title, problems) : undefined;
  const boundFor = readBoundFor(reader, problems);
  const by = reader.string("by");
  reader.finish();
  return path === undefined ? [] : [{ line, path, args, boundFor, by }];
}

function readPrograms(
  name: string,
  reader: TableReader,
  boundFor: BoundFor | undefined,
  problems: Problems,
): ProgramConfig[] {
  const paths = reader.items("prog").flatMap((v) => readElement(v, reader.title, problems));
  const args = reader.items("args");
  if (args.length > paths.length) {
    problems.add(
      args[paths.length]!.line,
      `args in ${reader.title} has ${args.length} elements for ${paths.length} programs.`,
    );
  }
  const bases = new Set<string>();
  return paths.map(({ path, line, ...own }, i) => {
    const base = path.slice(path.lastIndexOf("/") + 1);
    if (base === "") {
      problems.add(line, `"${path}" in ${reader.title} is not a program.`);
    } else if (bases.has(base)) {
      problems.add(
        line,
        `Name ${name} already bound to program ${path}.`,
        `Failed to bind program ${path} (null) for name ${name}.`,
      );
    }
    bases.add(base);
    const words = args[i];
    return {
      line,
      path,
      args: own.args ?? (words && readWords(words, reader.title, problems)),
      boundFor: own.boundFor ?? boundFor,
      by: own.by,
    };
  });
}

/** The words of one program: a string split at spaces, or an array of strings. */
function readWords(value: TomlValue, title: string, problems: Problems): string[] {
  let words: string[] | undefined;
  if (value.kind === "string") {
    words = splitWords(value.value);
    if (!words) problems.add(value.line, `Unbalanced quotes in args of ${title}.`);
  } else if (value.kind === "array") {
    words = value.items.flatMap((item) => item.kind === "string" ? [item.value] : []);
    if (words.length !== value.items.length) words = undefined;
  }
  if (words?.some((word) => word.includes("\0"))) {
    problems.add(value.line, `args in ${title} has a NUL character.`);
  } else if (!words && value.kind !== "string") {
    problems.add(value.line, `args in ${title} must hold strings or arrays of strings.`);
  }
  return words ?? [];
}
