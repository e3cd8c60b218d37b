/**
 * Security of flows with real processes: what a user types, what the applications get, what the log
 * says, and that nothing readable is in shared memory.
 */

import { assert, assertEquals } from "@std/assert";
import { CIPHERS, KEXES } from "../../lib/wire/oap_ids.ts";
import { until } from "../support/deadline.ts";
import {
  type NodeOptions,
  PATIENT,
  type RunningProcess,
  type RunResult,
  TestNode,
} from "../support/node.ts";
import { script } from "../support/process.ts";

function peer(...words: string[]): string[] {
  return script("tests/e2e/security_peer.ts", ...words);
}

/** A node with one name and an echo server behind it. */
class Lab implements AsyncDisposable {
  private constructor(readonly node: TestNode, readonly server: RunningProcess) {}

  static async start(options: NodeOptions = {}, ...create: string[]): Promise<Lab> {
    const node = await TestNode.start(options);
    try {
      await node.must("irm", "name", "create", "srv", ...create);
      const server = node.spawnArgv(peer("echo"));
      await server.waitForLine(/ready/);
      await node.must("irm", "bind", "process", String(server.pid), "name", "srv");
      return new Lab(node, server);
    } catch (e) {
      await node[Symbol.asyncDispose]();
      throw e;
    }
  }

  /** Asks the server; the flow must come about and every message be answered. */
  async good(count = 5): Promise<void> {
    const r = await this.ask(count);
    assert(r.out.includes(`${count} of ${count} answered`), `${r.out}${r.err}${this.log}`);
  }

  /** Asks the server; the flow must be refused with this code and a reason that says this. */
  async refused(code: number, part: string): Promise<void> {
    const r = await this.ask(1);
    assert(r.out.startsWith(`refused ${code} `), `${r.out}${r.err}${this.log}`);
    await this.logged(part);
  }

  async ask(count: number, text?: string): Promise<RunResult> {
    const words = ["ask", "srv", String(count), ...(text === undefined ? [] : [text])];
    return await this.node.spawnArgv(peer(...words)).wait();
  }

  write(path: string, text: string, mode = 0o600): void {
    const full = `${this.node.prefix}/etc/security/${path}`;
    Deno.mkdirSync(full.slice(0, full.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(full, text);
    Deno.chmodSync(full, mode);
  }

  remove(path: string): void {
    Deno.removeSync(`${this.node.prefix}/etc/security/${path}`);
  }

  get log(): string {
    return this.node.irmd!.out;
  }

  async logged(part: string): Promise<void> {
    await until(`"${part}" in the log of ${this.log}`, () => this.log.includes(part));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
  }
}

/** Whether some bytes are anywhere in the shared memory of a node. */
function inSharedMemory(node: TestNode, text: string): boolean {
  const wanted = new TextEncoder().encode(text);
  for (const name of node.sharedMemory()) {
    const bytes = Deno.readFileSync(`/dev/shm/${name}`);
    for (let at = bytes.indexOf(wanted[0]!); at >= 0; at = bytes.indexOf(wanted[0]!, at + 1)) {
      if (wanted.every((x, i) => bytes[at + i] === x)) return true;
    }
  }
  return false;
}

Deno.test("ouro pki makes what authenticated and encrypted flows need", async () => {
  await using lab = await Lab.start({ args: ["--debug"] });
  await lab.good(1);
  await lab.node.must("pki", "init");
  await lab.node.must("pki", "server", "srv", "--encrypt");
  await lab.node.must("pki", "client", "srv", "--as", "alice", "--encrypt");
  assert((await lab.node.must("pki", "check")).includes("ok   server srv: authenticates as srv"));
  await lab.good();
  for (
    const line of [
      "irmd/oap(DB): Loaded authentication certificates for srv.",
      "irmd/oap(DB): Encryption enabled for srv.",
      "] Client authenticated as alice.",
      "] Negotiated X25519 + aes-256-gcm.",
      "] OAP request processed for srv.",
      "] OAP completed for srv.",
    ]
  ) await lab.logged(line);
  // The dump of both headers, as the prototype prints it.
  const dump = new RegExp(
    [
      String
        .raw`irmd/oap\(PP\): OAP_HDR \[([0-9a-f]{16}) @ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(UTC\) \] -->`,
      String.raw`irmd/oap\(PP\):   crt: \[\d+ bytes\]`,
      String.raw`irmd/oap\(PP\):   Key Exchange Data: \[44 bytes\]`,
      String.raw`irmd/oap\(PP\):   Cipher: aes-256-gcm`,
      String.raw`irmd/oap\(PP\):   KDF: HKDF-sha256`,
      String.raw`irmd/oap\(PP\):   Digest: sha256`,
      String.raw`irmd/oap\(PP\):   Data: <none>`,
      String.raw`irmd/oap\(PP\):   Req Hash: <none>`,
      String.raw`irmd/oap\(PP\):   Signature: \[\d+ bytes\]`,
    ].join(String.raw`[^\n]*\n[^\n]*`),
  );
  await lab.node.irmd!.waitForLine(dump);
});

Deno.test("encrypted packets are not readable in shared memory, plain ones are", async () => {
  await using lab = await Lab.start();
  const plain = "the words of a plain flow, several of them";
  assert((await lab.ask(3, plain)).out.includes("3 of 3"));
  assert(inSharedMemory(lab.node, plain), "the test finds what is there");
  lab.write("client/srv/enc.conf", "kex=X25519\n");
  const secret = "what nobody else is meant to read in here";
  assert((await lab.ask(3, secret)).out.includes("3 of 3"));
  assert(!inSharedMemory(lab.node, secret), "an encrypted message is in shared memory");
});

for (const cipher of CIPHERS) {
  Deno.test(`${cipher.word}: messages of all sizes get through and back`, async () => {
    await using lab = await Lab.start();
    lab.write("client/srv/enc.conf", `kex=prime256v1\ncipher=${cipher.word}\n`);
    await lab.good(40);
    await lab.logged(`Negotiated prime256v1 + ${cipher.word}.`);
  });
}

Deno.test("settings change without restarting anything: the next flow has them", async () => {
  await using lab = await Lab.start({ args: ["--debug"] });
  await lab.good(1);
  for (const kex of KEXES) {
    for (const side of ["client", "server"]) lab.write(`${side}/srv/enc.conf`, `kex=${kex.word}\n`);
    await lab.good(2);
    await lab.logged(`Negotiated ${kex.word} + aes-256-gcm.`);
  }
  for (const side of ["client", "server"]) lab.remove(`${side}/srv/enc.conf`);
  const before = lab.log.length;
  await lab.good(1);
  await until("no key exchange", () => lab.log.slice(before).includes("No key exchange."));
});

Deno.test("keys that sign slowly: flows come about, and the IRMd lists what was shared for it", async () => {
  await using lab = await Lab.start();
  await lab.node.must("pki", "init");
  await lab.node.must("pki", "server", "srv", "--key", "slh-dsa-sha2-128f");
  await lab.node.must("pki", "client", "srv", "--as", "alice", "--key", "rsa4096");
  await Promise.all([lab.good(1), lab.good(1)]);
  const { users, totals } = await lab.node.admin().listUsers();
  assertEquals(totals.exchanges, 64);
  assert(users.every((u) => (u.exchanges ?? 0) === 0), "something waits still");
});

Deno.test("refusals: each end's code, and the server goes on accepting (spec 40 §11, §18.14)", async () => {
  await using lab = await Lab.start();
  lab.write("server/srv/enc.conf", "kex=X448\n");
  await lab.refused(-1008, "KEX requested without info.");
  lab.write("client/srv/enc.conf", "kex=X25519\n");
  await lab.refused(-1008, "Client KEX X25519 too weak.");
  lab.write("client/srv/enc.conf", "kex=x25519\n");
  await lab.refused(-9, "Failed to load KEX config for srv.");
  lab.write("client/srv/enc.conf", "kex=X448\n");
  lab.write("server/srv/enc.conf", "kex=X448\ncipher=rot13\n");
  await lab.refused(-1008, 'line 2: bad value of cipher: "rot13"');
  lab.write("server/srv/enc.conf", "kex=X448\nrequire-auth=yes\n");
  await lab.refused(-1008, "require-auth of srv");
  lab.write("server/srv/enc.conf", "kex=X448\n");
  await lab.good();
  assertEquals(lab.server.ended, undefined);
});

Deno.test("a lost or readable key file refuses the flow, with the remedy", async () => {
  await using lab = await Lab.start();
  await lab.node.must("pki", "init");
  await lab.node.must("pki", "server", "srv");
  await lab.good(1);
  const key = `${lab.node.prefix}/etc/security/server/srv/key.pem`;
  await Deno.chmod(key, 0o644);
  await lab.refused(-1008, `chmod 600 ${key}`);
  await Deno.chmod(key, 0o600);
  await lab.good(1);
  await Deno.remove(key);
  await lab.refused(-1008, `Failed to load ${key} for srv.`);
});

Deno.test("irm name create: all six paths have effect", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ouro-paths-" });
  try {
    await using maker = await TestNode.start({ idle: true });
    const at = ["--security", dir];
    await maker.must("pki", "init", ...at);
    await maker.must("pki", "server", "srv", "--kex", "X448", ...at);
    await maker.must("pki", "client", "srv", "--as", "bob", "--kex", "X448", ...at);
    const paths = (["server", "client"] as const).flatMap((side) =>
      [["crt", "crt.pem"], ["key", "key.pem"], ["enc", "enc.conf"]].flatMap(([word, file]) => [
        `${side[0]}${word}path`,
        `${dir}/${side}/srv/${file}`,
      ])
    );
    await using lab = await Lab.start({}, ...paths);
    for (const d of ["cacert", "untrusted"]) {
      await Deno.mkdir(`${lab.node.prefix}/etc/security/${d}`, { recursive: true });
      for await (const e of Deno.readDir(`${dir}/${d}`)) {
        await Deno.copyFile(
          `${dir}/${d}/${e.name}`,
          `${lab.node.prefix}/etc/security/${d}/${e.name}`,
        );
      }
    }
    await lab.good();
    await lab.logged("Client authenticated as bob.");
    await lab.logged("Negotiated X448 + aes-256-gcm.");
    await Deno.remove(`${dir}/server/srv/enc.conf`);
    await lab.refused(-1008, `Failed to load ${dir}/server/srv/enc.conf for srv.`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a damaged file among the roots stops the IRMd, with its path", async () => {
  await using node = await TestNode.start({ idle: true });
  const path = `${node.prefix}/etc/security/cacert/README`;
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(path, "certificates go here\n");
  const r = await node.spawn(["irmd", "--stdout"]).wait();
  assertEquals(r.code, 1);
  assert(r.out.includes(`irmd/oap(EE): Failed to load certificate from ${path}.`), r.out);
  assert(r.out.includes("Failed to load CA certificates."), r.out);
});

Deno.test("four commands: authenticated and encrypted oping between two names", async () => {
  await using node = await TestNode.start();
  await node.must("irm", "name", "create", "ping.srv");
  const server = node.spawn(["oping", "--listen"]);
  const bind = () => node.run(["irm", "bind", "process", String(server.pid), "name", "ping.srv"]);
  await until("the server announced itself", async () => (await bind()).code === 0);

  const plain = await node.must("oping", "-n", "ping.srv", "-c", "2", ...PATIENT, "-i", "10");
  assert(plain.includes("2 packets transmitted, 2 received"), plain);
  assertEquals(server.err, "");

  await node.must("pki", "init");
  await node.must("pki", "server", "ping.srv", "--encrypt");
  await node.must("pki", "client", "ping.srv", "--as", "alice", "--encrypt");
  const secure = await node.run(["oping", "-n", "ping.srv", "-c", "4", ...PATIENT, "-i", "10"]);
  assert(secure.out.includes("4 packets transmitted, 4 received"), secure.out + secure.err);
  assertEquals(secure.err, 'Flow: peer "ping.srv" (EC prime256v1), aes-256-gcm.\n');
  await until("the server says who it serves", () => /^Flow \d+: peer "alice"/m.test(server.err));
  const words = ["oping", "-n", "ping.srv", "-c", "1", ...PATIENT, "--json"];
  const document = JSON.parse(await node.must(...words));
  assertEquals([document.layer, document.peer.name, document.cipher], [
    null,
    "ping.srv",
    "aes-256-gcm",
  ]);
  await node.irmd!.waitForText("Negotiated X25519 + aes-256-gcm.");
  await node.irmd!.waitForText("Client authenticated as alice.");

  // What an application says when a flow is refused, and the server that goes on.
  await Deno.remove(`${node.prefix}/etc/security/client/ping.srv/enc.conf`);
  const refused = await node.run(["oping", "-n", "ping.srv", "-c", "1"]);
  assert(refused.code !== 0, refused.out);
  assert(`${refused.out}${refused.err}`.includes("Failed to allocate flow: -1008"), refused.err);
  await Deno.writeTextFile(`${node.prefix}/etc/security/client/ping.srv/enc.conf`, "kex=X448\n");
  const again = await node.must("oping", "-n", "ping.srv", "-c", "1", ...PATIENT);
  assert(again.includes("1 received"), again);
  await node.irmd!.waitForText("Negotiated X448 + aes-256-gcm.");
});

Deno.test("over an IPCP: authentication, post-quantum keys, and the server's code at the client", async () => {
  await using lab = await Lab.start({ args: ["--no-direct"] });
  await lab.node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l", "layer", "lay");
  await lab.node.must("irm", "name", "register", "srv", "layer", "lay");
  await lab.good(2);
  // A classical CA keeps the certificates small enough for one message (spec 40 §16).
  await lab.node.must("pki", "init");
  const words = ["--key", "ml-dsa-65", "--kex", "X25519MLKEM768"];
  await lab.node.must("pki", "server", "srv", ...words);
  await lab.node.must("pki", "client", "srv", "--as", "alice", ...words);
  await lab.good(5);
  await lab.logged("Client authenticated as alice.");
  await lab.logged("Negotiated X25519MLKEM768 + aes-256-gcm.");
  // The far side's code arrives unchanged; on direct flows it is -1008 for both (spec 40 §11).
  lab.write("server/srv/enc.conf", "kex=X25519MLKEM768\nallow-peer=bob\n");
  await lab.refused(-1009, "Peer 'alice' is not in allow-peer.");
  lab.write("server/srv/enc.conf", "kex=X448MLKEM1024\n");
  await lab.refused(-1008, "Client KEX X25519MLKEM768 too weak.");
  // The client refuses the response: it is told, and nothing stays behind in its way.
  lab.write("server/srv/enc.conf", "kex=X25519MLKEM768\n");
  lab.write("client/srv/enc.conf", "kex=X25519MLKEM768\nallow-peer=somebody-else\n");
  await lab.refused(-1008, "Peer 'srv' is not in allow-peer.");
  lab.write("client/srv/enc.conf", "kex=X25519MLKEM768\n");
  for (let i = 0; i < 3; i++) await lab.good(2);
});
