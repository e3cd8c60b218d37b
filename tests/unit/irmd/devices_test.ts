// Two IPCPs on one device and ethertype are refused; all else may be side by side.

import { assertEquals } from "@std/assert";
import { type IpcpConfig, IpcpType } from "../../../lib/irm/messages.ts";
import { deviceTaken } from "../../../irmd/devices.ts";

const layerInfo = { name: "l", dirHashAlgo: 1 };
function eth(dev: string, ethertype: number, llc = false): IpcpConfig {
  const ipcpType = llc ? IpcpType.ETH_LLC : IpcpType.ETH_DIX;
  return { layerInfo, ipcpType, eth: { dev, ethertype } };
}

Deno.test("a device and ethertype are one IPCP's", () => {
  const others: [string, IpcpConfig][] = [
    ["l1", { layerInfo, ipcpType: IpcpType.LOCAL }],
    ["e1", eth("va", 0xa000)],
    ["e2", eth("vb", 7, true)],
  ];
  const taken = "IPCP e1 has ethertype 0xA000 of device va already";
  assertEquals(deviceTaken(eth("va", 0xa000), others), taken);
  // LLC frames have no ethertype, whatever the configuration says.
  assertEquals(
    deviceTaken(eth("vb", 8, true), others),
    "IPCP e2 has LLC frames of device vb already",
  );
  for (const free of [eth("va", 0xa001), eth("vc", 0xa000), eth("va", 0xa000, true)]) {
    assertEquals(deviceTaken(free, others), undefined);
  }
  assertEquals(deviceTaken({ layerInfo, ipcpType: IpcpType.LOCAL }, others), undefined);
});
