// deno-lint-ignore-file camelcase -- --json prints these names
/** `ovpn`: IP traffic over a flow, through a TUN device at each end (spec 80 §7). Linux only. */

import { OuroError } from "../../lib/errno.ts";
import { Flow } from "../../lib/flow/flow.ts";
import { takePrefix } from "../../lib/prefix.ts";
import { SysError } from "../../lib/sys/ffi.ts";
import { Tun } from "../../lib/sys/tun.ts";
import { complain, print, reason } from "../console.ts";
import { conclude, leave, openProcess, pause, qosOf, Stop } from "../session.ts";
import { bridge, type Carried } from "./bridge.ts";
import { MTU_BYTES_MIN, type OvpnOptions, parseOvpn } from "./options.ts";

/** Pause before a flow is allocated again, ms. */
const RECONNECT_MS = 1000;
/** MTU that the kernel gives a TUN device. */
const TUN_MTU_BYTES = 1500;

/** Runs `ovpn`; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const words = takePrefix(args);
  if (!words) return 1;
  const command = parseOvpn(words);
  // Help needs no rights; the prototype asks for them first.
  if (command.kind === "exit" && command.code === 0) return conclude(command);
  if (Deno.uid() !== 0) {
    print("ovpn must be run as root.\n");
    return 1;
  }
  if (command.kind === "exit") return conclude(command);
  if (command.options.warning !== undefined) complain(command.options.warning);
  using process = openProcess("ovpn");
  if (!process) return 1;
  using stop = new Stop(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]);
  return await run(command.options, stop);
}

async function run(options: OvpnOptions, stop: Stop): Promise<number> {
  const toFlow: Carried = { packets: 0, bytes: 0, dropped: 0 };
  const fromFlow: Carried = { packets: 0, bytes: 0, dropped: 0 };
  const code = await carry(options, stop, toFlow, fromFlow);
  if (options.json) {
    const document = {
      tool: "ovpn",
      name: options.name ?? null,
      to_flow: toFlow,
      from_flow: fromFlow,
    };
    print(`${JSON.stringify(document)}\n`);
  }
  return code;
}

async function carry(
  options: OvpnOptions,
  stop: Stop,
  toFlow: Carried,
  fromFlow: Carried,
): Promise<number> {
  const say = (text: string) => options.json || print(text);
  const server = options.name === undefined;
  let tun: Tun | undefined;
  try {
    for (let connected = false; !stop.requested;) {
      const flow = await connect(options, stop, connected);
      if (stop.requested) {
        if (flow) await leave(flow, stop);
        break;
      }
      if (!flow) {
        if (!connected) return 1;
        await pause(RECONNECT_MS, stop.signal);
        continue;
      }
      say("Flow allocated.\n");
      if (!tun) {
        tun = openTun(options, flow.messageBytesMax);
        if (!tun) {
          await leave(flow, stop);
          return 1;
        }
        say(`Tunnel device name is ${tun.name}.\n`);
      }
      if (!connected) say("Starting read/write threads.\n");
      connected = true;
      const end = await bridge(tun, flow, stop.signal, toFlow, fromFlow);
      await leave(flow, stop);
      if (end === "stopped") break;
      say("Flow is down.\n");
      if (!server && !options.reconnect) return 1;
    }
    say("Shutting down...\n");
    return 0;
  } finally {
    tun?.close();
  }
}

async function connect(
  options: OvpnOptions,
  stop: Stop,
  again: boolean,
): Promise<Flow | undefined> {
  const { name } = options;
  if (!again || name === undefined) {
    if (!options.json) {
      print(name === undefined ? "Waiting for a new flow...\n" : `Allocating a flow to ${name}.\n`);
    }
  }
  try {
    return name === undefined
      ? await Flow.accept({ signal: stop.signal })
      : await Flow.alloc(name, {
        qos: qosOf(options.qos),
        keepaliveMs: options.keepaliveMs,
        signal: stop.signal,
      });
  } catch (error) {
    if (stop.requested) return undefined;
    if (!(error instanceof OuroError)) throw error;
    const what = name === undefined ? "Failed to accept flow" : "Failed to allocate flow";
    if (!again && !options.json) print(`${what}.\n`);
    complain(`${what}: ${reason(error)}`);
    return undefined;
  }
}

/** The device. Packets that the flow doesn't carry are dropped, so its MTU is what the flow carries at most. */
function openTun(options: OvpnOptions, carriedBytes: number): Tun | undefined {
  const asked = options.mtuBytes;
  if (asked !== undefined && asked > carriedBytes) {
    complain(`MTU ${asked} is more than the flow carries: packets above ${carriedBytes} are lost`);
  }
  const usual = carriedBytes < TUN_MTU_BYTES ? Math.max(MTU_BYTES_MIN, carriedBytes) : undefined;
  try {
    return Tun.open({
      device: options.device,
      ip4: { address: options.address, mask: options.mask },
      ip6: options.ip6,
      mtuBytes: asked ?? usual,
    });
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    if (!options.json) print("Failed to open tunnel device.\n");
    complain(`Failed to open tunnel device: ${error.message}`);
    return undefined;
  }
}
