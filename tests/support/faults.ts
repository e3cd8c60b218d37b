/** What the fault tests share: nodes with a server that misbehaves when told to, and bystanders that must not notice. */

import { assertNotMatch } from "@std/assert";
import { Flow } from "../../lib/flow/flow.ts";
import { OuroProcess } from "../../lib/flow/process.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { First } from "./fault_peer.ts";
import { until } from "./deadline.ts";
import { md5Hex } from "./ipcp_pair.ts";
import { NetLab } from "./netns.ts";
import { ouro, type RunningProcess, TestNode } from "./node.ts";
import { script } from "./process.ts";

/** Far less than the peer time-out of 120 s: what ends in this time ended because somebody was told. */
export const SOON_MS = 60_000;

/** What a user must never see. */
export const STACK_TRACE = /^\s+at .*:\d+:\d+|panicked at|Uncaught|Assertion/m;

/** Command line of fault_peer.ts. */
export function peerArgv(...words: string[]): string[] {
  return script("tests/support/fault_peer.ts", ...words);
}

function asUser(uid: number): { env?: Record<string, string> } {
  return uid === 0 ? {} : { env: { OURO_TEST_UID: String(uid) } };
}

/** Starts fault_peer.ts with these words, as a user. */
export function faultPeer(node: TestNode, words: string[], uid = 0): RunningProcess {
  return node.spawnArgv(peerArgv(...words), asUser(uid));
}

/** Starts a server and binds it to a name of its own, registered in a layer if there is one. */
export async function faultServer(
  node: TestNode,
  name: string,
  uid = 0,
  role = "server",
  layer?: string,
): Promise<RunningProcess> {
  const server = faultPeer(node, [role, name], uid);
  await server.waitForLine(/^ready/m);
  await node.must("irm", "name", "create", name);
  await node.must("irm", "bind", "process", String(server.pid), "name", name);
  if (layer !== undefined) await node.must("irm", "name", "register", name, "layer", layer);
  return server;
}

/** The test's own process on a node. */
export function ownProcess(node: TestNode): OuroProcess {
  return OuroProcess.open({ instance: node.instance, prog: "fault-test" });
}

/** A flow of the test's process to a server of {@linkcode faultServer}, which serves it as `first` says. */
export async function openFlow(
  process: OuroProcess,
  name: string,
  first: number,
  qos: QosSpec,
): Promise<Flow> {
  const flow = await Flow.alloc(process, name, { qos, timeoutMs: SOON_MS });
  await flow.write(Uint8Array.of(first));
  if (first !== First.DEAF) await flow.read({ timeoutMs: SOON_MS });
  return flow;
}

/** One exchange with an echo. */
export async function exchange(flow: Flow, message: Uint8Array): Promise<void> {
  await flow.write(message, { timeoutMs: SOON_MS });
  const answer = await flow.read({ timeoutMs: SOON_MS });
  if (answer.length !== message.length || answer.some((byte, k) => byte !== message[k])) {
    throw new Error(`answer of ${answer.length} bytes to ${message.length}`);
  }
}

/** Two processes with a flow that goes on whatever happens to others. */
export class Bystanders {
  private constructor(readonly server: RunningProcess, readonly client: RunningProcess) {}

  /** Starts them, as a user. */
  static async start(
    node: TestNode,
    name: string,
    qos = "raw",
    uid = 0,
    layer?: string,
  ): Promise<Bystanders> {
    const server = await faultServer(node, name, uid, "server", layer);
    const client = faultPeer(node, ["talk", name, qos], uid);
    await client.waitForLine(/^answer 3$/m);
    return new Bystanders(server, client);
  }

  /** Last answer that came. */
  get answers(): number {
    return Number(this.client.out.match(/answer (\d+)\n$/)?.[1] ?? -1);
  }

  /** Fails unless they exchange `n` more messages, without a word of complaint. */
  async goOn(n = 20): Promise<void> {
    const wanted = this.answers + n;
    await until("answers of the bystanders", () => {
      if (this.client.ended) throw new Error(`the bystander ended: ${this.client.err}`);
      return this.answers >= wanted;
    }, SOON_MS);
    assertNotMatch(this.client.err + this.server.err, STACK_TRACE);
  }
}

/** Blocks in use in the pool of a flow uid, 0: the global pool. */
export function blocksUsed(node: TestNode, flowUid = 0): number {
  using pool = Pool.open(node.instance, flowUid);
  return pool.stats().classes.reduce((n, c) => n + c.used, 0);
}

/** Two hosts (namespaces with an IRMd each) on a cable, with one layer of a type between them. */
export class TwoHosts implements AsyncDisposable {
  readonly net = new NetLab();
  a!: TestNode;
  b!: TestNode;
  ns = { a: "", b: "" };

  private constructor(readonly type: "udp4" | "eth-dix") {}

  /** Starts them; `names` are served on host b. */
  static async start(type: "udp4" | "eth-dix", names: string[]): Promise<TwoHosts> {
    const hosts = new TwoHosts(type);
    try {
      await hosts.#start(names);
      return hosts;
    } catch (e) {
      await hosts[Symbol.asyncDispose]();
      throw e;
    }
  }

  async #start(names: string[]): Promise<void> {
    const { net } = this;
    this.ns = { a: await net.namespace("a"), b: await net.namespace("b") };
    await net.link(
      { ns: this.ns.a, dev: "vetha", addr: "10.81.0.1/24" },
      { ns: this.ns.b, dev: "vethb", addr: "10.81.0.2/24" },
    );
    for (const side of ["a", "b"] as const) {
      const node = this[side] = await TestNode.start({ idle: true });
      node.irmd = node.spawnArgv(net.inside(this.ns[side], ouro("irmd", "--stdout")));
      await node.irmd.waitForLine(/daemon started/);
      await Deno.mkdir(`${node.prefix}/etc`, { recursive: true });
      const file = names.map((name) => `10.81.0.2 ${md5Hex(name)}\n`).join("");
      await Deno.writeTextFile(`${node.prefix}/etc/hosts`, file);
      const ip = `10.81.0.${side === "a" ? 1 : 2}`;
      const lower = this.type === "udp4" ? ["ip", ip] : ["dev", `veth${side}`];
      const words = ["type", this.type, "name", "below", "layer", "lay", ...lower];
      await node.must("irm", "ipcp", "bootstrap", ...words);
    }
    for (const name of names) await this.a.must("irm", "name", "create", name);
  }

  /** Starts a server on host b, known to host a through the layer. */
  async serve(name: string): Promise<RunningProcess> {
    const server = await faultServer(this.b, name);
    await this.b.must("irm", "name", "register", name, "layer", "lay");
    return server;
  }

  /** Pulls the cable at b, or puts it back. */
  async cable(state: "down" | "up"): Promise<void> {
    const argv = ["ip", "link", "set", "vethb", state];
    const { code, err } = await this.net.exec(this.ns.b, argv);
    if (code !== 0) throw new Error(err);
  }

  /** Host b loses its power: everything on it is killed, nothing is said to anybody. */
  async killB(...processes: RunningProcess[]): Promise<void> {
    const list = JSON.parse(await this.b.must("irm", "ipcp", "list", "--json"));
    // First what talks to the network.
    for (const { pid } of list) Deno.kill(pid, "SIGKILL");
    for (const p of [...processes, this.b.irmd!]) p.kill("SIGKILL");
    for (const p of [...processes, this.b.irmd!]) await p.wait();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of [this.a, this.b]) await node?.[Symbol.asyncDispose]();
    await this.net[Symbol.asyncDispose]();
  }
}
