// deno-lint-ignore-file no-console -- a program, which prints
// A process that does on the sockets of a node what a test tells it, under its own pid and, if asked, another uid.
// Told `ipcp`, it plays an IPCP: announces itself, serves ipcp.<pid>.sock as its behaviour says, reports CREATE_R.
// Started by Puppet (puppet.ts), or by an IRMd through the script that Puppet.ipcpDir() makes.
//
// argv: control-directory, uid, gid, groups …              a plain puppet
//       control-directory, "ipcp", type, irmd pid, name    an IPCP
//
// It listens on <control directory>/<pid>.sock; a packet is a JSON command, the answer a JSON packet.

import { currentInstance, ipcpSocketPath, irmSocketPath } from "../../lib/instance.ts";
import { SysError } from "../../lib/sys/ffi.ts";
import { pidAlive } from "../../lib/sys/process.ts";
import { onSignals, Signal } from "../../lib/sys/signals.ts";
import { SeqListener, SeqSocket } from "../../lib/sys/socket.ts";
import { becomeUser } from "../../lib/sys/users.ts";

/** How the played IPCP answers one kind of request. */
export interface Behaviour {
  /** Result of the reply. */
  result?: number;
  /** Seconds before the reply. */
  sleep?: number;
  /** Close without reply. */
  drop?: number;
}

/** A command to a puppet. */
export type Command =
  /** Send bytes to irm.sock (or to another socket) and give the reply. */
  | { op: "send"; hex: string; path?: string; timeoutMs?: number }
  /** Connect and send bytes, if any; keep the connection open without reading. */
  | { op: "hold"; hex?: string; count?: number }
  /** Close what is held. */
  | { op: "release" }
  /** Behave so from now on, by name of the request; FLOW_ALLOC and FLOW_JOIN may name an answer. */
  | {
    op: "behave";
    how: Record<string, Behaviour>;
    /** IPCP_FLOW_ALLOC_REPLY to send after FLOW_ALLOC or FLOW_JOIN: response and OAP data in hex. */
    allocReply?: { response: number; pk?: string } | null;
    /** Confirm FLOW_DEALLOC to the IRMd. */
    confirm?: boolean;
  }
  /** What the IPCP was asked since the last time, hex of each ipcp_msg. */
  | { op: "asked" }
  /** End. */
  | { op: "exit"; code?: number };

/** The answer to `send`. */
export interface SendResult {
  hex?: string;
  /** The connection was closed without reply. */
  closed?: boolean;
  /** errno of a failure. */
  error?: number;
}

/** How often a played IPCP looks whether its IRMd lives, ms. */
const LOOK_MS = 200;

const [dir, role, ...rest] = Deno.args;
const instance = currentInstance();
const held: SeqSocket[] = [];

async function send(hex: string, path: string, timeoutMs: number): Promise<SendResult> {
  try {
    using s = await SeqSocket.connectAsync(path, { timeoutMs });
    s.sendSync(Uint8Array.fromHex(hex), timeoutMs);
    const reply = await s.recv({ timeoutMs, maxBytes: 1 << 20 });
    return reply === null ? { closed: true } : { hex: reply.toHex() };
  } catch (e) {
    if (!(e instanceof SysError)) throw e;
    return e.errno === 104 ? { closed: true } : { error: e.errno };
  }
}

async function hold(hex: string | undefined, count: number): Promise<number> {
  for (let i = 0; i < count; i++) {
    const s = await SeqSocket.connectAsync(irmSocketPath(instance), { timeoutMs: 60_000 });
    if (hex !== undefined) s.sendSync(Uint8Array.fromHex(hex));
    held.push(s);
  }
  return held.length;
}

let player: IpcpPlayer | undefined;

async function run(c: Command): Promise<unknown> {
  switch (c.op) {
    case "send":
      return await send(c.hex, c.path ?? irmSocketPath(instance), c.timeoutMs ?? 60_000);
    case "hold":
      return { held: await hold(c.hex, c.count ?? 1) };
    case "release":
      for (const s of held.splice(0)) s.close();
      return {};
    case "behave":
      player!.how = c.how;
      if (c.allocReply !== undefined) player!.allocReply = c.allocReply ?? undefined;
      if (c.confirm !== undefined) player!.confirm = c.confirm;
      return {};
    case "asked":
      return { asked: player!.asked.splice(0) };
    case "exit":
      setTimeout(() => Deno.exit(c.code ?? 0), 0);
      return {};
  }
}

function serveControl(): void {
  const listener = SeqListener.listen(`${dir}/${Deno.pid}.sock`, 0o666, 128);
  listener.onConnection((s) => {
    void (async () => {
      const packet = await s.recv({ maxBytes: 1 << 20 });
      if (packet !== null) {
        const answer = await run(JSON.parse(new TextDecoder().decode(packet)));
        const bytes = new TextEncoder().encode(JSON.stringify(answer));
        s.setSendBuffer(bytes.length * 2 + 4096);
        s.sendSync(bytes);
      }
      s.close();
    })();
  }, (e) => {
    throw e;
  });
}

/** The IPCP's side. */
class IpcpPlayer {
  how: Record<string, Behaviour> = {};
  allocReply: { response: number; pk?: string } | undefined;
  confirm = true;
  readonly asked: string[] = [];

  constructor(
    readonly m: typeof import("../../lib/irm/messages.ts"),
    readonly type: number,
    readonly name: string,
  ) {}

  async start(): Promise<void> {
    const { IrmCode, IpcpState } = this.m;
    await this.irm({ code: IrmCode.IRM_PROC_ANNOUNCE, pid: Deno.pid, prog: "ipcpd-puppet" });
    const listener = SeqListener.listen(ipcpSocketPath(instance, Deno.pid), 0o700, 64);
    listener.onConnection((s) => void this.serve(s), (e) => {
      throw e;
    });
    const ipcpInfo = {
      type: this.type,
      name: this.name,
      pid: Deno.pid,
      state: IpcpState.BOOT,
    };
    await this.irm({ code: IrmCode.IPCP_CREATE_R, ipcpInfo });
  }

  irm(m: import("../../lib/irm/messages.ts").IrmMsg): Promise<SendResult> {
    return send(this.m.encodeIrmMsg(m).toHex(), irmSocketPath(instance), 60_000);
  }

  async serve(s: SeqSocket): Promise<void> {
    const { IpcpCode, ipcpCodeName, encodeIpcpMsg } = this.m;
    const packet = await s.recv();
    if (packet === null) return s.close();
    const q = this.m.decodeIpcpMsg(packet) as import("../../lib/irm/messages.ts").IpcpMsg;
    this.asked.push(packet.toHex());
    const how = this.how[ipcpCodeName(q.code)] ?? {};
    if (how.drop) return s.close();
    if (how.sleep) await new Promise((done) => setTimeout(done, how.sleep! * 1000));
    const result = how.result ?? 0;
    const conf = q.conf?.layerInfo;
    const joins = q.code === IpcpCode.IPCP_BOOTSTRAP || q.code === IpcpCode.IPCP_ENROLL;
    const layerInfo = joins && result === 0
      ? conf ?? { name: q.dst ?? "", dirHashAlgo: 1 }
      : undefined;
    if (q.code === IpcpCode.IPCP_FLOW_DEALLOC && this.confirm) await this.confirmDealloc(q.flowId!);
    s.trySend(encodeIpcpMsg({ code: IpcpCode.IPCP_REPLY, layerInfo, result }));
    s.close();
    const flow = q.code === IpcpCode.IPCP_FLOW_ALLOC || q.code === IpcpCode.IPCP_FLOW_JOIN;
    if (flow && result === 0 && this.allocReply !== undefined) {
      await this.irm({
        code: this.m.IrmCode.IPCP_FLOW_ALLOC_REPLY,
        flowInfo: this.m.flowInfoOf({ id: q.flowId!, mpl: 100 }),
        response: this.allocReply.response,
        pk: Uint8Array.fromHex(this.allocReply.pk ?? ""),
      });
    }
  }

  async confirmDealloc(id: number): Promise<void> {
    await this.irm({
      code: this.m.IrmCode.IPCP_FLOW_DEALLOC,
      flowInfo: this.m.flowInfoOf({ id, n1Pid: Deno.pid }),
    });
  }
}

if (role === "ipcp") {
  player = new IpcpPlayer(
    await import("../../lib/irm/messages.ts"),
    Number(rest[0]),
    rest[2] ?? "",
  );
  onSignals([Signal.TERM], () => {
    Deno.removeSync(ipcpSocketPath(instance, Deno.pid));
    Deno.exit(0);
  });
  // It leaves with its IRMd, killed or not: tests kill IRMds.
  const irmd = Number(rest[1]);
  setInterval(() => {
    if (!pidAlive(irmd)) Deno.exit(0);
  }, LOOK_MS);
  serveControl();
  await player.start();
} else {
  serveControl();
  const uid = Number(role);
  if (uid !== 0) becomeUser(uid, Number(rest[0]), rest.slice(1).map(Number));
  console.log("ready");
}
