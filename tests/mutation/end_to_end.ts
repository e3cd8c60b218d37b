/** Which end-to-end tests run a file of the house: by its room, since they start programs and import nothing of it. Pure. */

/** The longest prefix counts. */
const BY_ROOM: readonly (readonly [prefix: string, tests: readonly string[]])[] = [
  ["ipcp/", ["ipcp_process", "ipcp_contract"]],
  ["ipcp/local/", ["ipcp_process", "ipcp_nodes"]],
  ["ipcp/shim/", ["ipcp_shim", "ipcp_contract"]],
  ["ipcp/udp/", ["ipcp_shim", "ipcp_contract"]],
  ["ipcp/eth/", ["ipcp_netns", "ipcp_contract"]],
  ["ipcp/data/", ["ipcp_contract", "ipcp_shim", "ipcp_hostile_user"]],
  ["ipcp/member/", ["unicast", "broadcast", "unicast_join"]],
  ["ipcp/broadcast/", ["broadcast", "ipcp_contract"]],
  ["ipcp/unicast/", ["unicast", "unicast_config", "unicast_faults"]],
  ["ipcp/unicast/policy/", ["unicast_policy"]],
  ["irmd/", ["irmd_lifecycle", "irmd_flows", "irmd_ipcp", "irmd_abuse"]],
  ["irmd/names.ts", ["irmd_names", "irmd_users"]],
  ["irmd/save.ts", ["irm_save"]],
  ["irmd/apply_config.ts", ["irmd_config"]],
  ["irmd/config/", ["irmd_config", "irm_save"]],
  ["irmd/ipcps.ts", ["irmd_ipcp", "irmd_keep_ipcps"]],
  ["irmd/ipcp_client.ts", ["irmd_silent_ipcp", "irmd_ipcp"]],
  ["irmd/stale.ts", ["irmd_restart", "irmd_crash"]],
  ["irmd/upkeep.ts", ["irmd_users", "irmd_crash"]],
  ["irmd/rib", ["rib"]],
  ["irmd/children.ts", ["irmd_lifecycle", "irmd_users", "irmd_crash"]],
  ["lib/flow/", ["flow_life", "flow_request", "frct", "worker_end"]],
  ["lib/flow/serve.ts", ["serve_name"]],
  ["security/", ["security"]],
];

/** Paths of the tests, the nearest first; none for a file of no such room. */
export function endToEndTests(path: string): string[] {
  const rooms = BY_ROOM.filter(([prefix]) => path.startsWith(prefix))
    .toSorted(([a], [b]) => b.length - a.length);
  return (rooms[0]?.[1] ?? []).map((name) => `tests/e2e/${name}_test.ts`);
}
