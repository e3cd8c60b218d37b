/** The `openssl` program as judge of certificates; OURO_OPENSSL chooses another one. */

import { encodePem } from "../../security/pem.ts";

const program = Deno.env.get("OURO_OPENSSL") ?? "openssl";

/** Whether there is one of version 3 or later. */
export function hasOpenssl(): boolean {
  try {
    const { code, stdout } = new Deno.Command(program, { args: ["version"] }).outputSync();
    return code === 0 && /^OpenSSL [3-9]/.test(new TextDecoder().decode(stdout));
  } catch {
    return false;
  }
}

/** A certificate as PEM. */
export const pem = (der: Uint8Array): string => encodePem("CERTIFICATE", der.slice());

/**
 * What `openssl verify` says of each leaf: `undefined` is good, else its reason. Its files are written to `dir`.
 * @param atMs the moment, ms since 1970
 */
export async function openssl(
  dir: string,
  atMs: number,
  trusted: readonly Uint8Array[],
  untrusted: readonly Uint8Array[],
  leaves: readonly Uint8Array[],
): Promise<(string | undefined)[]> {
  await Deno.writeTextFile(`${dir}/trusted.pem`, trusted.map(pem).join(""));
  await Deno.writeTextFile(`${dir}/untrusted.pem`, untrusted.map(pem).join(""));
  const files = leaves.map((leaf, i) => {
    Deno.writeTextFileSync(`${dir}/leaf${i}.pem`, pem(leaf));
    return `${dir}/leaf${i}.pem`;
  });
  const { stdout, stderr } = await new Deno.Command(program, {
    args: [
      ...["verify", "-no-CApath", "-no-CAstore", "-attime", String(Math.floor(atMs / 1000))],
      ...["-CAfile", `${dir}/trusted.pem`],
      ...(untrusted.length > 0 ? ["-untrusted", `${dir}/untrusted.pem`] : []),
      ...files,
    ],
  }).output();
  const out = new TextDecoder().decode(stdout);
  const err = new TextDecoder().decode(stderr);
  const good = new Set(out.split("\n"));
  return files.map((f) => {
    if (good.has(`${f}: OK`)) return undefined;
    // 3.0 could not read it, 3.5 could not find it.
    const unread = ["read", "find"].some((w) =>
      err.includes(`Could not ${w} certificate file from ${f}\n`)
    );
    if (unread) return "refused: unreadable";
    const above = err.split(`error ${f}: verification failed`);
    const told = above.length > 1 ? above[0]!.match(/error \d+ at[^\n]*/g)?.at(-1) : undefined;
    return told ?? `refused (${err.split("\n")[0]})`;
  });
}
