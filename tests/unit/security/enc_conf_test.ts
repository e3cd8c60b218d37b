/** Policy files: what loosens security when it is passed over is refused, the rest is reported. */

import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import {
  ENC_NONE,
  EncConfError,
  type EncConfFile,
  parseEncConf,
} from "../../../security/enc_conf.ts";
import { ensure } from "../../support/security_dir.ts";
import { anyText } from "../../support/text.ts";

const encoder = new TextEncoder();
const parse = (text: string) => parseEncConf(encoder.encode(text));

function good(text: string): EncConfFile {
  const got = parse(text);
  ensure(!(got instanceof EncConfError), `${JSON.stringify(text)}: ${got}`);
  return got;
}

function refusal(file: string | Uint8Array): string {
  const got = typeof file === "string" ? parse(file) : parseEncConf(file);
  ensure(got instanceof EncConfError, `${JSON.stringify(file)} was accepted`);
  return `${got}`;
}

const SLIPS = [
  "require_auth = yes",
  "Require-Auth = yes",
  "require-auth: yes",
  "require-auth yes",
  "\ufeffrequire-auth = yes",
  "requireauth=yes",
  "require auth = yes",
  "requre-auth = yes",
  "reqiure-auth = yes",
  "require-auht = yes",
  "require-authentication = yes",
  "auth-required = yes",
  "require\u2010auth = yes",
  "require\u00a0-auth = yes",
  "\u00a0require-auth = yes",
  "\u200brequire-auth = yes",
  "allow_peer = alice",
  "allow-peers = alice",
  "Allow-Peer = alice",
  "allow-peer alice",
  "min_kex = X25519",
  "minkex = X25519",
  "refuse-encription = yes",
  "refuse_ctr = yes",
  "strict-cert = yes",
  "strict = yes",
  "strict_crt=yes",
  "deny-peer = mallory",
  "kex-min = ML-KEM-768",
  "minimum_kex: X448",
  "binding = yes",
  "no-ctr = yes",
  "client-encap = no",
  "verify-client = yes",
  "mutual = yes",
  "trusted = alice",
  "permit alice",
  "forbid = mallory",
  "encryption = required",
  "check-certificates = yes",
  "// require-auth = yes",
  "export require-auth=yes",
  "set require-auth yes",
  "[require-auth]",
  "require\u2013auth = yes",
  "require\u00adauth = yes",
  "require-auth\u00a0= yes",
  "require-auth\uff1dyes",
  "- require-auth = yes",
  "; require-auth = yes",
  "mn-kex X25519MLKEM768",
  "alow-kex X25519",
  "in-kex\tX448",
  "llow_kex X448 X25519",
];

Deno.test("a slip of the hand in a keyword of ours refuses the file, before and behind none", () => {
  for (const slip of SLIPS) {
    for (const text of [`${slip}\n`, `${slip}\nnone\n`, `${slip}\r\nnone\r\n`]) {
      ensure(refusal(text).startsWith("line 1: "), text);
    }
    if (!slip.startsWith("\ufeff")) ensure(refusal(`none\n${slip}\n`).startsWith("line 2: "), slip);
    ensure(refusal(`kex = X448\n\n# c\n${slip}`).startsWith("line 4: "), slip);
  }
  assertEquals(
    refusal("require_auth = yes\n"),
    'line 1: unknown key "require_auth" (is require-auth meant? "require-auth = …")',
  );
});

Deno.test("files that are no plain text are refused", () => {
  const utf16 = (text: string, mark: string, big: boolean) => {
    const all = mark + text;
    const out = new Uint8Array(2 * all.length);
    const view = new DataView(out.buffer);
    [...all].forEach((c, i) => view.setUint16(2 * i, c.charCodeAt(0), !big));
    return out;
  };
  for (const big of [false, true]) {
    for (const mark of ["\ufeff", ""]) {
      const why = refusal(utf16("require-auth = yes\nnone\n", mark, big));
      ensure(why.includes(mark === "" ? "NUL byte cuts the line" : "the file is UTF-16"), why);
    }
  }
  ensure(refusal(encoder.encode("\ufeffkex = X448\n")).includes("byte-order mark"));
  ensure(refusal(new Uint8Array([0x6b, 0xe9, 0x3d, 0x31, 10])).includes("not UTF-8"));
  ensure(refusal("kex = X448\0 kex = X25519\n").includes("NUL"));
  good("kex = X448\0\n");
  for (const comment of ["# of db", "#"]) {
    const why = refusal(`${comment}\rrequire-auth = yes\rallow-peer = alice\r`);
    ensure(why.startsWith("line 1: a carriage return is in the comment"), why);
    good(`${comment}\r\r\nkex = X448\r\n`);
  }
  ensure(refusal(new Uint8Array([0x23, 0xe9, 13, 0x6b, 10])).includes("carriage return"));
  // What sets nothing may have a mark, and comments any bytes.
  assertEquals(
    `${good("\ufeff# text\nkex = X448\n").ignored}`,
    "line 1: a byte-order mark has no effect",
  );
  const latin = parseEncConf(new Uint8Array([0x23, 0xe9, 10]));
  ensure(!(latin instanceof EncConfError));
});

Deno.test("what the prototype's grammar passes over is reported and does not refuse", () => {
  const file = good("None\nnone=\nKEX = X448\nfoo = bar\n  # require-auth = yes\n=\nnone # x\n\n");
  assertEquals(file.ignored.map((i) => i.line), [1, 2, 3, 4, 6, 7]);
  assertEquals(file.conf.kexNid, 415);
  const behind = good("none\nkex = foo\nfoo\n");
  assertEquals(behind.ignored.map(String), [
    'line 2: "kex" has no effect behind none',
    'line 3: "foo" has no effect',
  ]);
});

Deno.test("lines of more than 255 bytes are taken whole or refused, never cut", () => {
  const names = Array.from({ length: 60 }, (_, i) => `client-${i}.example`);
  const long = good(`allow-peer = ${names.join(", ")}\nnone\n`);
  assertEquals(long.conf.policy.allowPeers, names);
  const comment = `#${"x".repeat(254)}`;
  for (const tail of ["kex=X448", "none", " cipher = aes-128-ctr"]) {
    ensure(refusal(`${comment}${tail}\n`).includes("would obey its end"), tail);
  }
  assertEquals(good(`${comment}and so on, require-auth = yes\n`).conf.policy.requireAuth, false);
  ensure(refusal(`foo = ${"x".repeat(300)}\n`).includes("307 bytes"));
  ensure(refusal(`kex = ${" ".repeat(300)}nothing\n`).includes("bad value"));
  assertEquals(good(`kex = ${" ".repeat(300)}X448\n`).conf.kexNid, 1035);
});

Deno.test("a repeated key is refused", () => {
  for (
    const line of ["kex = X448", "cipher = aes-256-gcm", "require-auth = yes", "allow-peer = a"]
  ) {
    ensure(refusal(`${line}\n# c\n${line}\n`).startsWith("line 3: "), line);
    ensure(refusal(`${line}\n# c\n${line}\n`).endsWith("was set in line 1 already"), line);
  }
});

Deno.test("every pair of settings: contradictions are refused with both lines, in either order", () => {
  const settings = [
    "none",
    "kex = X448",
    "cipher = aes-128-ctr",
    "kdf = sha512",
    "digest = sha512",
    "kem_mode = client",
    "require-auth = yes",
    "require-auth = no",
    "allow-peer = alice",
    "min-kex = X25519",
    "allow-kex = X448, prime256v1",
    "refuse-encryption = yes",
    "refuse-encryption = no",
    "refuse-client-encap = yes",
    "refuse-client-encap = no",
    "allow-static-kem = yes",
    "require-binding = yes",
    "refuse-ctr = yes",
    "refuse-ctr = no",
    "strict-crt = yes",
  ];
  const against = new Set([
    "none, min-kex = X25519",
    "none, refuse-client-encap = yes",
    "none, refuse-ctr = yes",
    "kem_mode = client, refuse-client-encap = yes",
    "require-auth = no, allow-peer = alice",
    "min-kex = X25519, allow-kex = X448, prime256v1",
    "refuse-client-encap = yes, allow-static-kem = yes",
    "cipher = aes-128-ctr, refuse-ctr = yes",
  ]);
  const keyOf = (setting: string) => setting.split(" = ")[0]!;
  settings.forEach((a, i) =>
    settings.slice(i + 1).filter((b) => keyOf(a) !== keyOf(b)).forEach((b) => {
      for (const [first, second] of [[a, b], [b, a]]) {
        const text = `${first}\n${second}\n`;
        // It stands beside none alone.
        const encrypts = a !== "none" && text.includes("refuse-encryption = yes");
        if (!against.has(`${a}, ${b}`) && !encrypts) {
          good(text);
          continue;
        }
        const why = refusal(text);
        ensure(why.includes("contradicts"), text);
        for (const [j, setting] of [first!, second!].entries()) {
          ensure(encrypts || why.includes(`${keyOf(setting)} (line ${j + 1})`), why);
        }
      }
    })
  );
  good("allow-peer = alice\nrequire-auth = yes\nmin-kex = X25519\nkex = X448\nrefuse-ctr = yes\n");
});

Deno.test("settings of the prototype's have no effect beside none, which is said, before and behind it", () => {
  for (const [text, line] of [["kex = X448\nnone\n", 1], ["none\nkex = X448\n", 2]] as const) {
    const { conf, ignored } = good(text);
    assertEquals(conf, ENC_NONE);
    assertEquals(ignored.map((i) => i.line), [line]);
    ensure(ignored[0]!.reason.includes("none"), ignored[0]!.reason);
  }
});

Deno.test("values: hidden characters are refused, names of any script are not", () => {
  for (const hidden of ["\u00a0", "\u200b", "\u2010", "\u202e", "\u3000"]) {
    ensure(refusal(`allow-peer = ali${hidden}ce\n`).includes("U+"), hidden);
  }
  assertEquals(good("allow-peer = élise, 山田\n").conf.policy.allowPeers, ["élise", "山田"]);
});

Deno.test("property: one changed character of a policy line never loses the policy in silence", () => {
  const lines = [
    "require-auth = yes",
    "allow-peer = alice",
    "min-kex = X25519",
    "strict-crt = yes",
  ];
  const conf = (text: string) => {
    const got = parse(text);
    return got instanceof EncConfError ? undefined : got;
  };
  fc.assert(
    fc.property(
      fc.constantFrom(...lines),
      fc.nat(),
      fc.oneof(fc.constant(""), anyText(1, 1)),
      (line, where, put) => {
        const at = where % line.indexOf(" =");
        const got = conf(`${line.slice(0, at)}${put}${line.slice(at + 1)}\n`);
        if (got === undefined) return;
        const { policy } = got.conf;
        const kept = policy.requireAuth || policy.minKexNid !== 0 || policy.strictCrt;
        // A '#' in front makes a comment, an '=' early or a newline another line: those are said.
        return kept || (at === 0 && put === "#") || /[\n]/.test(put) || got.ignored.length > 0;
      },
    ),
    { numRuns: 500 },
  );
  assertEquals(ENC_NONE.kexNid, 0);
});
