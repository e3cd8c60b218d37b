/**
 * What the IRMd knows a program by.
 */

const SCRIPT_END = /\.[cm]?[jt]sx?$/;
const BYTES_MAX = 255;

/**
 * The file name of a compiled program or of an executable script, which is what `irm bind program` takes; of other
 * scripts without the extension, as they are installed.
 */
export function programName(): string {
  const path = Deno.build.standalone ? Deno.execPath() : scriptPath();
  const file = path.slice(path.lastIndexOf("/") + 1);
  const name = isExecutable(path) ? file : file.replace(SCRIPT_END, "");
  return name.slice(0, BYTES_MAX) || "deno";
}

function scriptPath(): string {
  // A Worker has no main module.
  const url = Deno.mainModule as string | undefined;
  if (url !== undefined) return decodeURIComponent(new URL(url).pathname);
  const words = Deno.readTextFileSync("/proc/self/cmdline").split("\0");
  return words.find((w) => SCRIPT_END.test(w)) ?? "";
}

function isExecutable(path: string): boolean {
  try {
    return ((Deno.statSync(path).mode ?? 0) & 0o111) !== 0;
  } catch {
    return false; // not a file: a module from elsewhere
  }
}
