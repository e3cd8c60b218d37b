/**
 * Processes of a test that speak to an IRMd as the test tells them: each has its own pid, and its own uid if wanted.
 * The IRMd believes the kernel about who is calling, so one process cannot play several.
 */

import { fromFileUrl } from "@std/path";
import {
  decodeIpcpMsg,
  decodeIrmMsg,
  encodeIrmMsg,
  type IpcpMsg,
  IrmCode,
  type IrmMsg,
} from "../../lib/irm/messages.ts";
import { SeqSocket } from "../../lib/sys/socket.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { fileExists, type TestNode } from "./node.ts";
import type { RunningProcess } from "./process.ts";
import type { Command, SendResult } from "./puppet_process.ts";

const SCRIPT = fromFileUrl(new URL("./puppet_process.ts", import.meta.url));
const CONFIG = fromFileUrl(new URL("../../deno.json", import.meta.url));
const DENO = ["run", "-A", "--no-prompt", "--quiet", "--no-check", "--config", CONFIG, SCRIPT];

function quoted(s: string): string {
  return `'${s.replaceAll("'", `'\\''`)}'`;
}

/** One such process. */
export class Puppet {
  private constructor(
    readonly node: TestNode,
    readonly pid: number,
    /** Undefined for an IPCP, which the IRMd started. */
    readonly process: RunningProcess | undefined,
  ) {}

  static #control(node: TestNode): string {
    const dir = `${node.prefix}/puppets`;
    Deno.mkdirSync(dir, { recursive: true });
    return dir;
  }

  /**
   * Starts a process, of root or another user (needs root); it is stopped with the node.
   * @param groups supplementary ones of another user
   */
  static async start(
    node: TestNode,
    uid = 0,
    gid = uid,
    groups: readonly number[] = [],
  ): Promise<Puppet> {
    const words = [...DENO, Puppet.#control(node), ...[uid, gid, ...groups].map(String)];
    const process = node.spawnArgv([Deno.execPath(), ...words]);
    await process.waitForLine(/^ready/);
    return new Puppet(node, process.pid, process);
  }

  /** Starts a process and announces it. */
  static async announced(node: TestNode, prog = "puppet", uid = 0): Promise<Puppet> {
    const p = await Puppet.start(node, uid);
    const r = await p.irm({ code: IrmCode.IRM_PROC_ANNOUNCE, pid: p.pid, prog });
    if (r?.result !== 0) throw new Error(`announce: ${JSON.stringify(r)}`);
    return p;
  }

  /** A directory of IPCP programs that are puppets, for the IRMd's option. */
  static ipcpDir(prefix: string): string {
    const dir = `${prefix}/ipcp-puppets`;
    Deno.mkdirSync(dir, { recursive: true });
    Deno.mkdirSync(`${prefix}/puppets`, { recursive: true });
    // The IRMd starts IPCPs with an (almost) empty environment.
    const keep = ["HOME", "DENO_DIR", "PATH"].flatMap((k) => {
      const v = Deno.env.get(k);
      return v === undefined ? [] : [`export ${k}=${quoted(v)}`];
    });
    const types = ["local", "unicast", "broadcast", "eth-llc", "eth-dix", "udp4", "udp6"];
    types.forEach((type, n) => {
      const path = `${dir}/ipcpd-${type}`;
      const words = [...DENO, `${prefix}/puppets`, "ipcp", String(n)].map(quoted).join(" ");
      Deno.writeTextFileSync(
        path,
        `#!/bin/sh\n${keep.join("\n")}\nexport OURO_PREFIX=${quoted(prefix)}\n` +
          `exec ${quoted(Deno.execPath())} ${words} "$@"\n`,
      );
      Deno.chmodSync(path, 0o755);
    });
    return dir;
  }

  /** The puppet that the IRMd started as IPCP. */
  static async ipcp(node: TestNode, pid: number): Promise<Puppet> {
    await fileExists(`${node.prefix}/puppets/${pid}.sock`);
    return new Puppet(node, pid, undefined);
  }

  /** Gives a command. */
  async tell<T = unknown>(c: Command): Promise<T> {
    using s = await SeqSocket.connectAsync(`${this.node.prefix}/puppets/${this.pid}.sock`, {
      timeoutMs: 60_000,
    });
    s.sendSync(new TextEncoder().encode(JSON.stringify(c)));
    const reply = await s.recv({ maxBytes: 1 << 20, timeoutMs: 120_000 });
    if (reply === null) throw new Error(`puppet ${this.pid} is gone`);
    return JSON.parse(new TextDecoder().decode(reply)) as T;
  }

  /** Sends raw bytes to irm.sock. */
  async raw(bytes: Uint8Array): Promise<SendResult> {
    return await this.tell<SendResult>({ op: "send", hex: bytes.toHex() });
  }

  /** Sends a request to the IRMd; undefined when the connection is closed without reply. */
  async irm(m: IrmMsg): Promise<IrmMsg | undefined> {
    const r = await this.raw(encodeIrmMsg(m));
    if (r.error !== undefined) throw new Error(`puppet ${this.pid}: errno ${r.error}`);
    if (r.hex === undefined) return undefined;
    const reply = decodeIrmMsg(Uint8Array.fromHex(r.hex));
    if (isWireError(reply)) throw new Error(reply.toString());
    return reply;
  }

  /** What an IPCP was asked since the last call. */
  async asked(): Promise<IpcpMsg[]> {
    const { asked } = await this.tell<{ asked: string[] }>({ op: "asked" });
    return asked.map((hex) => decodeIpcpMsg(Uint8Array.fromHex(hex)) as IpcpMsg);
  }

  /** Kills it. */
  async kill(): Promise<void> {
    Deno.kill(this.pid, "SIGKILL");
    await this.process?.wait();
  }
}
