// deno-lint-ignore-file no-console -- a program, which prints
/**
 * `deno task demo`: one node of its own in a temporary directory, one name, a ping server and a client.
 * Shows the commands as they would be typed, and leaves nothing behind. Exit code 0 if all went well.
 */

import { fromFileUrl, join } from "@std/path";

const ROOT = fromFileUrl(new URL("..", import.meta.url));
/** Longest wait for a line of a program, ms. */
const LINE_LIMIT_MS = 60_000;

const prefix = await Deno.makeTempDir({ prefix: "ouro-demo-" });
const env = { OURO_PREFIX: prefix, DENO_NO_UPDATE_CHECK: "1" };
const running: Deno.ChildProcess[] = [];

function command(words: string[], output: "piped" | "inherit"): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", join(ROOT, "main.ts"), ...words],
    env,
    stdin: "null",
    stdout: output,
    stderr: "inherit",
  });
}

/** Runs a command to its end, as a user would. */
async function run(...words: string[]): Promise<void> {
  console.log(`\n$ ouro ${words.join(" ")}`);
  const { code } = await command(words, "inherit").spawn().status;
  if (code !== 0) throw new Error(`ouro ${words.join(" ")} ended with ${code}`);
}

/** Starts a program, shows its lines, and resolves when one of them contains `text`. */
async function start(text: string, ...words: string[]): Promise<Deno.ChildProcess> {
  console.log(`\n$ ouro ${words.join(" ")} &`);
  const child = command(words, "piped").spawn();
  running.push(child);
  await new Promise<void>((ready, failed) => {
    const timer = setTimeout(
      () => failed(new Error(`ouro ${words[0]} did not say "${text}"`)),
      LINE_LIMIT_MS,
    );
    const show = async () => {
      let seen = "";
      for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
        await Deno.stdout.write(new TextEncoder().encode(part));
        seen += part;
        if (seen.includes(text)) {
          clearTimeout(timer);
          ready();
        }
      }
      clearTimeout(timer);
      failed(new Error(`ouro ${words[0]} ended early`));
    };
    show().catch(failed);
  });
  return child;
}

async function stop(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGTERM");
  } catch {
    return; // Ended already.
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await child.status;
  clearTimeout(timer);
}

let code = 0;
try {
  console.log(`A node of its own below ${prefix} (OURO_PREFIX).`);
  await start("daemon started", "irmd", "--stdout");
  await run("irm", "name", "create", "oping");
  await run("irm", "bind", "program", "oping", "name", "oping");
  await start("ping server started", "oping", "-l", "-Q");
  await run("irm", "name", "list");
  await run("oping", "-n", "oping", "-c", "3", "-i", "200ms", "--stats");
  await run("oping", "-n", "oping", "-c", "10000", "-f", "-Q", "--stats");
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : error}`);
  code = 1;
} finally {
  for (const child of running.reverse()) await stop(child);
  await Deno.remove(prefix, { recursive: true }).catch(() => {});
}
console.log(code === 0 ? "\nThe demo ended well." : "\nThe demo failed.");
Deno.exit(code);
