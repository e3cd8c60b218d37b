/** The IPCPs eth-dix and eth-llc: one packet socket below the shim shell (spec 50 §10–§12). */

import { Errno, errnoText } from "../../lib/errno.ts";
import { HASH_BYTES, type IpcpConfig, type LayerInfo } from "../../lib/irm/messages.ts";
import { SysError } from "../../lib/sys/ffi.ts";
import {
  ETH_P_802_2,
  type Interface,
  interfaceOf,
  type NetSocket,
  openPacket,
  sockaddrLl,
} from "../../lib/sys/netsock.ts";
import * as frame from "../../lib/wire/eth_frame.ts";
import { dixMgmt, llcMgmt } from "../../lib/wire/eth_mgmt.ts";
import { type LinkChange, parseLinks } from "../../lib/wire/rtnetlink.ts";
import type { WorkerSpec } from "../data/plane.ts";
import type { PacketBytes } from "../standing.ts";
import { SharedDevice } from "./data/device.ts";
import type { EthLink } from "./data/framing.ts";
import { type EthSettings, ethSettings, layerMtu } from "./config.ts";
import type { Addr } from "../shim/name_cache.ts";
import { watchKernel } from "../shim/kernel_watch.ts";
import { QUARANTINE_US, ShimIpcp } from "../shim/ipcp.ts";
import type { Failure, IpcpContext } from "../type.ts";

/**
 * Last endpoint id of eth-dix. A prototype that hears frames of others (a segment that floods) looks ids up in a
 * table of 4096 places without bounds.
 */
const DIX_EID_LAST = 4095;
/** Maximum packet lifetime, µs. */
const MPL_US = 100_000;
/** Largest frame that the data path has room for, so that a growing MTU needs no new buffers. */
const SLOT_PAYLOAD_BYTES_MAX = 9216;

const BROADCAST = new Uint8Array(6).fill(0xff);

const WORKERS: readonly WorkerSpec[] = [
  {
    name: "eth tx",
    start: () =>
      new Worker(new URL("./data/eth_tx_worker.ts", import.meta.url), { type: "module" }),
  },
  {
    name: "eth rx",
    start: () =>
      new Worker(new URL("./data/eth_rx_worker.ts", import.meta.url), { type: "module" }),
  },
];

/** A packet socket, as far as the main thread uses it. */
export type PacketSocket = Pick<NetSocket, "fd" | "sendTo" | "rebind" | "close">;

/** What of the kernel it stands on. */
export interface EthKernel {
  /** Throws a SysError when there is none of that name. */
  interfaceOf(name: string): Interface;
  /** Throws a SysError. */
  openPacket(index: number, protocol: number): PacketSocket;
  watchKernel: typeof watchKernel;
}

const KERNEL: EthKernel = { interfaceOf, openPacket, watchKernel };

export class EthIpcp extends ShimIpcp {
  #monitor: Disposable | undefined;
  #socket: PacketSocket | undefined;
  /** The device as the workers see it. */
  readonly #device = new SharedDevice();
  #dev = "";
  #ethertype = 0;
  #index = 0;
  /** The socket's device has been removed. */
  #gone = false;
  #mac: Uint8Array = new Uint8Array(6);
  /** The MAC by which peers know flows that are open, when it is ours no more and they have not been told. */
  #left: Uint8Array | undefined;
  /** Longest payload that the data path has room for, and what the device carries now and carried at first, bytes. */
  #roomBytes = SLOT_PAYLOAD_BYTES_MAX;
  #payloadMax = 0;
  #payloadFirst = 0;
  #up = true;

  constructor(
    readonly type: "eth-dix" | "eth-llc",
    context: IpcpContext,
    private readonly kernel: EthKernel = KERNEL,
  ) {
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
    this.#up = device.up && device.running;
    const mtu = layerMtu(settings.dev, device.mtu, this.#dix);
    this.#roomBytes = Math.max(SLOT_PAYLOAD_BYTES_MAX, mtu);
    const ethertype = this.#dix ? settings.ethertype : ETH_P_802_2;
    this.#dev = settings.dev;
    this.#ethertype = ethertype;
    this.#index = device.index;
    this.#gone = false;
    this.#setDevice(device.mac, mtu);
    const failure = await this.start(
      socket,
      {
        codec: this.#dix ? dixMgmt : llcMgmt,
        eids: {
          first: this.#dix ? 1 : frame.LLC_SAP_FIRST,
          last: this.#dix ? DIX_EID_LAST : frame.LLC_SAP_LAST,
          quarantineUs: QUARANTINE_US,
          mplUs: MPL_US,
        },
        hashBytes: HASH_BYTES[conf.layerInfo.dirHashAlgo]!,
        mgmtBytesMax: this.#payloadMax,
        names: "ask",
        network: [0, 6],
      },
      {
        send: (mac, bytes) => socket.sendTo(this.#frame(mac, bytes, ethertype), this.#to()),
        limits: () => ({ sduBytesMax: this.#payloadMax }),
        unreachable: () => this.#unreachable(),
      },
      WORKERS,
      {
        fd: socket.fd,
        dix: this.#dix,
        ethertype,
        to: this.#to(),
        device: this.#device.buffer,
        payloadMax: this.#roomBytes,
        hashBytes: HASH_BYTES[conf.layerInfo.dirHashAlgo]!,
      } satisfies EthLink,
    );
    if (failure !== undefined) return failure;
    this.#socket = socket;
    this.#payloadFirst = this.#payloadMax;
    this.context.standing.setPackets(this.#packets());
    this.#watchLink();
    this.context.log.dbg(`Using device ${settings.dev}, MTU ${mtu}.`);
    return { ...conf.layerInfo };
  }

  #openDevice(s: EthSettings): { device: Interface; socket: PacketSocket } | Failure {
    try {
      const device = this.kernel.interfaceOf(s.dev);
      const socket = this.kernel.openPacket(device.index, this.#dix ? s.ethertype : ETH_P_802_2);
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
    this.#payloadMax = Math.min(mtu - overhead, this.#roomBytes);
    this.#device.set({ index: this.#index, mac, payloadMax: this.#payloadMax });
  }

  /** Where frames go. */
  #to(): Uint8Array {
    return sockaddrLl(this.#index, this.#ethertype, BROADCAST);
  }

  #unreachable(): string | undefined {
    if (this.#gone) return `device ${this.#dev} is gone; it is used again once it is back`;
    return this.#up ? undefined : `device ${this.#dev} is down`;
  }

  /** A management frame. */
  #frame(to: Addr | undefined, payload: Uint8Array, ethertype: number): Uint8Array {
    const header = this.#dix ? frame.DIX_HEADER_BYTES : frame.LLC_HEADER_BYTES;
    const b = new Uint8Array(header + payload.length);
    const dst = to ?? BROADCAST;
    const n = payload.length;
    if (this.#dix) frame.encodeDix(dst, this.#mac, ethertype, frame.DIX_MGMT_EID, n, b, 0);
    else {
      const sap = frame.LLC_MGMT_SAP;
      frame.encodeLlc(dst, this.#mac, sap, sap, n, b, 0);
    }
    b.set(payload, header);
    return b;
  }

  /** Follow the device: down and up, MAC, MTU, removal, and one that is made anew under its name. */
  #watchLink(): void {
    try {
      this.#monitor = this.kernel.watchKernel("links", (bytes) => {
        for (const change of parseLinks(bytes)) this.#onChange(change);
      }, () => this.#look());
    } catch (e) {
      const why = e instanceof Error ? e.message : e;
      this.context.log.warn(`Cannot watch ${this.#dev}: ${why}`);
    }
    // What changed since the device was opened, nobody has told.
    this.#look();
  }

  /** Nothing is refused, and no flow told, because of what was true of the device some time ago. */
  protected override lowerChanged(): void {
    if (!this.#up || this.#gone) this.#look();
    super.lowerChanged();
  }

  /** See what the device is now. */
  #look(): void {
    const device = this.#now();
    if (device === undefined || !this.isOpen) return;
    if (this.#gone || device.index !== this.#index) return this.#takeUp(device);
    this.#changeDevice(device.mac, device.mtu);
    this.#setLink(device.up && device.running);
  }

  #now(): Interface | undefined {
    try {
      return this.kernel.interfaceOf(this.#dev);
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      return undefined;
    }
  }

  #onChange(change: LinkChange): void {
    const { log } = this.context;
    if (!this.isOpen) return;
    if (this.#gone && !change.deleted && change.name === this.#dev) return this.#look();
    if (change.index !== this.#index || this.#gone) return;
    if (change.deleted) {
      this.#gone = true;
      log.warn(`Device ${this.#dev} is gone; waiting for one of that name.`);
    } else if (change.mac !== undefined && change.mtu !== undefined) {
      this.#changeDevice(change.mac, change.mtu);
    }
    // A device that has just been set up is told of before its carrier is.
    const now = change.up || this.#gone ? undefined : this.#now();
    this.#setLink(change.up || (now?.index === this.#index && now.up && now.running));
  }

  /** The device has been made anew: the socket moves to it. */
  #takeUp(device: Interface): void {
    const { log } = this.context;
    try {
      this.#socket!.rebind(sockaddrLl(device.index, this.#ethertype, new Uint8Array(6)));
    } catch (e) {
      // It has gone again, or its name was changed; the next message tells.
      return log.dbg(`Cannot use device ${this.#dev}: ${e instanceof Error ? e.message : e}`);
    }
    this.#index = device.index;
    this.#gone = false;
    log.info(`Device ${this.#dev} is back.`);
    this.#changeDevice(device.mac, device.mtu);
    this.#setLink(device.up && device.running);
  }

  /** Flows of a MAC that is ours no more have ended; their peers believe that of the MAC that they know. */
  #endLeft(up: boolean): void {
    const left = this.#left;
    const mac = this.#mac;
    if (left === undefined || !up) return;
    this.#left = undefined;
    this.#mac = left;
    this.endFlows();
    this.#mac = mac;
  }

  #changeDevice(mac: Uint8Array, mtu: number): void {
    const before = this.#payloadMax;
    const dev = this.#dev;
    this.#left ??= this.#mac;
    if (mac.every((byte, i) => byte === this.#left![i])) this.#left = undefined;
    this.#setDevice(mac, layerMtu(dev, mtu, this.#dix));
    if (this.#payloadMax === before) return;
    this.carries(this.#packets());
    const { log } = this.context;
    log.info(`MTU of ${dev} is ${mtu}: packets of flows may have ${this.#payloadMax} bytes now.`);
  }

  #packets(): PacketBytes {
    return { now: this.#payloadMax, full: this.#payloadFirst };
  }

  #setLink(up: boolean): void {
    this.#endLeft(up);
    if (up === this.#up) return;
    this.#up = up;
    if (!this.#gone) this.context.log.info(`Device ${this.#dev} is ${up ? "up" : "down"}.`);
    this.lowerChanged();
  }

  override async stop(): Promise<void> {
    this.#monitor?.[Symbol.dispose]();
    this.#monitor = undefined;
    await super.stop();
  }
}
