/**
 * What a process is called in `ps`, `top` and `ss -p`: the kernel keeps a name of 15 bytes (comm) and the
 * words of the command line in the memory of the process itself, where they can be written anew
 * (proc(5), as setproctitle(3) does it). Without /proc everything stays as it was.
 *
 * Safety: written is only what the kernel says is the command line of this process, through
 * /proc/self/mem, and never more than it has room; the words of the environment that follow stay.
 */

/** Fields of /proc/self/stat after the name: where the words of the command line begin and end. */
const ARG_START_FIELD = 45;
const ARG_END_FIELD = 46;
/** Longest name that the kernel keeps, bytes. */
const COMM_BYTES_MAX = 15;

let original: readonly string[] | undefined;

function read(): string[] {
  try {
    const text = new TextDecoder().decode(Deno.readFileSync("/proc/self/cmdline"));
    return text.split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

/** The words this process was started with; none when /proc is not there. */
export function commandLine(): readonly string[] {
  return original ?? read();
}

/** Calls this process `name` with these words. What has no room is cut. */
export function setTitle(name: string, args: readonly string[]): void {
  original ??= read();
  const encoder = new TextEncoder();
  try {
    Deno.writeFileSync("/proc/self/comm", encoder.encode(name).subarray(0, COMM_BYTES_MAX));
    const stat = Deno.readTextFileSync("/proc/self/stat");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [start, end] = [fields[ARG_START_FIELD], fields[ARG_END_FIELD]].map(Number);
    if (!(start! > 0) || !(end! > start!)) return;
    const room = new Uint8Array(end! - start!);
    const words = encoder.encode([name, ...args].join("\0"));
    // The last byte stays 0: the kernel takes another one for a sign that the words go on behind it.
    room.set(words.subarray(0, room.length - 1));
    using memory = Deno.openSync("/proc/self/mem", { write: true });
    memory.seekSync(start!, Deno.SeekMode.Start);
    memory.writeSync(room);
  } catch {
    // A name is a convenience.
  }
}
