/** The IPCPs eth-dix and eth-llc: one packet socket below the shim shell (spec 50 §10–§12). */

import { Errno, errnoText } from "../../lib/errno.ts";
import { HASH_BYTES, type IpcpConfig, type LayerInfo } from "../../lib/irm/messages.ts";
import { EventSource } from "../../lib/sys/epoll.ts";
import { SysError } from "../../lib/sys/ffi.ts";
import {
  ETH_P_802_2,
  type Interface,
  interfaceOf,
  type NetSocket,
  openLinkMonitor,
  openPacket,
  sockaddrLl,
} from "../../lib/sys/netsock.ts";
import * as frame from "../../lib/wire/eth_frame.ts";
import { dixMgmt, llcMgmt } from "../../lib/wire/eth_mgmt.ts";
import { parseLinks } from "../../lib/wire/rtnetlink.ts";
import { Counter } from "../data/table.ts";
import { type EthSettings, ethSettings, layerMtu } from "./config.ts";
import type { Addr } from "../shim/directory.ts";
import { QUARANTINE_MS, ShimIpcp } from "../shim/ipcp.ts";
import type { Failure, IpcpContext } from "../type.ts";

/** Maximum packet lifetime, ms. */
const MPL_MS = 100;
/** Largest frame that the data path has room for, so that a growing MTU needs no new buffers. */
const SLOT_PAYLOAD_BYTES_MAX = 9216;

const BROADCAST = new Uint8Array(6).fill(0xff);

export class EthIpcp extends ShimIpcp {
  #monitor: Disposable | undefined;
  #mac: Uint8Array = new Uint8Array(6);
  /** Longest payload that the data path has room for, and what the device carries now, bytes. */
  #roomBytes = SLOT_PAYLOAD_BYTES_MAX;
  #payloadMax = 0;
  #up = true;

  constructor(readonly type: "eth-dix" | "eth-llc", context: IpcpContext) {
    super(context);
  }

  get #dix(): boolean {
    return this.type === "eth-dix";
  }

  async bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    const busy = this.busy();
    if (busy !== undefined) return busy;
    const settings = ethSettings(conf, this.#dix);
    if ("code" in settings) return settings;
    const opened = this.#openDevice(settings);
    if ("code" in opened) return opened;
    const { device, socket } = opened;
    this.open(socket);
    this.#up = device.up && device.running;
    const mtu = layerMtu(settings.dev, device.mtu, this.#dix);
    this.#roomBytes = Math.max(SLOT_PAYLOAD_BYTES_MAX, mtu);
    this.#setDevice(device.mac, mtu);
    const ethertype = this.#dix ? settings.ethertype : ETH_P_802_2;
    const to = sockaddrLl(device.index, ethertype, BROADCAST);
    const failure = await this.start(
      {
        codec: this.#dix ? dixMgmt : llcMgmt,
        eids: {
          first: this.#dix ? 1 : frame.LLC_SAP_FIRST,
          last: this.#dix ? dixMgmt.lostEid - 1 : frame.LLC_SAP_LAST,
          quarantineMs: QUARANTINE_MS,
          mplMs: MPL_MS,
        },
        hashBytes: HASH_BYTES[conf.layerInfo.dirHashAlgo]!,
        mgmtBytesMax: this.#payloadMax,
        names: "ask",
      },
      {
        send: (mac, bytes) => socket.sendTo(this.#frame(mac, bytes, ethertype), to),
        limits: () => ({ sduBytesMax: this.#payloadMax }),
      },
      {
        kind: this.#dix ? "dix" : "llc",
        ethertype,
        device: to,
        payloadMax: this.#roomBytes,
      },
    );
    if (failure !== undefined) return failure;
    this.#watchLink(settings.dev, device.index);
    this.context.log.dbg(`Using device ${settings.dev}, MTU ${mtu}.`);
    return { ...conf.layerInfo };
  }

  #openDevice(s: EthSettings): { device: Interface; socket: NetSocket } | Failure {
    try {
      const device = interfaceOf(s.dev);
      const socket = openPacket(device.index, this.#dix ? s.ethertype : ETH_P_802_2);
      return { device, socket };
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      const why = e.call === "SIOCGIFMTU"
        ? "Failed to get MTU."
        : e.call === "SIOCGIFHWADDR"
        ? "Failed to get hardware addr."
        : `${errnoText(e.errno)}.`;
      return { code: -Errno.EPERM, cause: `Cannot use device ${s.dev}: ${why}` };
    }
  }

  /** Publish own MAC and payload limit to the data path. */
  #setDevice(mac: Uint8Array, mtu: number): void {
    this.#mac = mac.slice();
    const overhead = this.#dix ? frame.DIX_OVERHEAD_BYTES : frame.LLC_OVERHEAD_BYTES;
    const c = this.plane!.counters;
    Atomics.store(c, Counter.mac, (mac[0]! << 8) | mac[1]!);
    Atomics.store(c, Counter.mac + 1, (mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!);
    this.#payloadMax = Math.min(mtu - overhead, this.#roomBytes);
    Atomics.store(c, Counter.payloadMax, this.#payloadMax);
  }

  /** A management frame. */
  #frame(to: Addr | undefined, payload: Uint8Array, ethertype: number): Uint8Array {
    const header = this.#dix ? frame.DIX_HEADER_BYTES : frame.LLC_HEADER_BYTES;
    const b = new Uint8Array(header + payload.length);
    const dst = to ?? BROADCAST, n = payload.length;
    if (this.#dix) frame.encodeDix(dst, this.#mac, ethertype, frame.DIX_MGMT_EID, n, b, 0);
    else {
      const sap = frame.LLC_MGMT_SAP;
      frame.encodeLlc(dst, this.#mac, sap, sap, n, b, 0);
    }
    b.set(payload, header);
    return b;
  }

  /** Follow the device: down and up, MAC, MTU, removal. */
  #watchLink(dev: string, index: number): void {
    let socket: NetSocket;
    try {
      socket = openLinkMonitor();
    } catch (e) {
      return this.context.log.warn(`Cannot watch ${dev}: ${e instanceof Error ? e.message : e}`);
    }
    const buffer = new Uint8Array(32768);
    const watch = EventSource.get().watch(socket.fd, { read: true }, () => {
      for (let n = socket.receiveOne(buffer); n > 0; n = socket.receiveOne(buffer)) {
        for (const change of parseLinks(buffer.subarray(0, n))) {
          if (change.index !== index || this.plane === undefined) continue;
          if (change.mac !== undefined && change.mtu !== undefined && !change.deleted) {
            this.#changeDevice(dev, change.mac, change.mtu);
          }
          this.#setLink(dev, change.up);
        }
      }
    });
    this.#monitor = {
      [Symbol.dispose]() {
        watch.close();
        socket.close();
      },
    };
  }

  /** Flows that are open keep the limit that they were told at their beginning. */
  #changeDevice(dev: string, mac: Uint8Array, mtu: number): void {
    const before = this.#payloadMax;
    this.#setDevice(mac, layerMtu(dev, mtu, this.#dix));
    if (this.#payloadMax === before) return;
    const { log } = this.context;
    log.info(`MTU of ${dev} is ${mtu}: packets of flows may have ${this.#payloadMax} bytes now.`);
  }

  #setLink(dev: string, up: boolean): void {
    if (up === this.#up) return;
    this.#up = up;
    this.context.log.info(`Device ${dev} is ${up ? "up" : "down"}.`);
    this.shell?.setLink(up);
  }

  override async stop(): Promise<void> {
    this.#monitor?.[Symbol.dispose]();
    this.#monitor = undefined;
    await super.stop();
  }
}
