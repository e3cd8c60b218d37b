/**
 * The usage texts of `irm`, byte for byte those of the prototype (spec 21 A2-A5, vectors `cli/`).
 *
 * Scripts compare them, so they stay as they are, slips included; `ouro help irm` says the rest.
 */

/** Usage by `OBJECT` or `OBJECT VERB`; every text ends in a newline. */
export const USAGE = {
  "irm": `Usage: irm [OPERATION]

where OPERATION in { ipcp bind unbind name }
`,
  "ipcp": `Usage: irm ipcp [OPERATION]

where OPERATION in {create destroy
                    bootstrap enroll
                    connect disconnect
                    list
                    help}
`,
  "ipcp create": `Usage: irm ipcp create
                name <ipcp name>
                type [TYPE]

where TYPE in {unicast broadcast local udp4 udp6 eth-llc eth-dix}
`,
  "ipcp destroy": `Usage: irm ipcp destroy
                name <ipcp name>
`,
  "ipcp bootstrap": `Usage: irm ipcp bootstrap
           name <ipcp name>
           layer <layer name>
           [type [TYPE]]
where TYPE in {unicast broadcast local udp4 udp6 eth-llc eth-dix},

if TYPE == unicast
        [addr_auth <ADDRESS_POLICY> (default: flat)]
        [directory <DIRECTORY_POLICY> (default: DHT)]
        [hash [ALGORITHM] (default: SHA3_256)]
        [routing <ROUTING_POLICY> (default: link_state)]
        [congestion <CONG_POLICY> (default: mb-ecn)]
        [autobind]

where ADDRESS_POLICY in {flat}
    DIRECTORY_POLICY in {DHT}
    ALGORITHM in {SHA3_224 SHA3_256 SHA3_384 SHA3_512}
    ROUTING_POLICY in {link_state lfa ecmp}
    CONG_POLICY in {none mb-ecn}
    [Data Transfer Constants]
        [addr <address size> (default: 4)]
        [eid <eid size> (default: 8)]
        [ttl <max time-to-live>, default: 60)]

if DIRECTORY_POLICY == DHT
        [dht_alpha <search factor> (default: 3)]
        [dht_k <replication factor> (default: 8)]
        [dht_t_expire <expiration (s)> (default: 86400)]
        [dht_t_refresh <contact refresh (s)> (default: 900)]
        [dht_t_replicate <replication (s)> (default: 900)]

if ROUTING_POLICY == link_state
        [ls_t_recalc <pff recalc interval (s)> (default: 4)]
        [ls_t_update <LSA update interval (s)> (default: 15)]
        [ls_t_timeo  <link timeout (s)> (default: 60)]

if TYPE == udp4
        ip <IP address in dotted notation>
        [port <UDP port> (default: 3435)]
        [dns <DDNS IPv4 address in dotted notation> (default: none)]

if TYPE == udp6
        ip <IPv6 address>
        [port <UDP port> (default: 3435)]
        [dns <DDNS IPv6 address> (default: none)]

if TYPE == eth-llc
        dev <interface name>
        [hash [ALGORITHM] (default: SHA3_256)]
where ALGORITHM in {SHA3_224 SHA3_256 SHA3_384 SHA3_512}

if TYPE == eth-dix
        dev <interface name>
        [ethertype <ethertype> (default: 0xA000)]
        [hash [ALGORITHM] (default: SHA3_256)]
where ALGORITHM in {SHA3_224 SHA3_256 SHA3_384 SHA3_512}

if TYPE == local
        [hash [ALGORITHM] (default: SHA3_256)]
where ALGORITHM in {SHA3_224 SHA3_256 SHA3_384 SHA3_512}

if TYPE == broadcast
        [autobind]

`,
  "ipcp enroll": `Usage: irm ipcp enroll
                name <ipcp name>
                [layer <layer to enroll with>]
                [dst <destination to enroll with>]
                [type [TYPE], default = unicast]
                [autobind]
where TYPE in {unicast broadcast}
`,
  "ipcp connect": `Usage: irm ipcp connect
                name      <ipcp name>
                dst       <name of destination IPCP>
                [component [COMPONENT]]
where COMPONENT in {dt mgmt}

if COMPONENT == dt
                [qos       [QOS]
where QOS in {raw, best, voice, video, data}
`,
  "ipcp disconnect": `Usage: irm ipcp disconnect
                name      <ipcp name>
                dst       <name of destination IPCP>
                [component [COMPONENT]]

where COMPONENT in {dt mgmt}
`,
  "ipcp list": `Usage: irm ipcp list
                [name  <ipcp name>]
                [layer <layer_name>]

                [type [TYPE]]

where TYPE = {unicast local udp4 udp6 eth-llc eth-dix}
`,
  // Ours.
  "wait": `Usage: irm wait
                name <name>              until a layer knows the name
                layer <layer> [members <number> (default: 2)]
                                         until so many members can be reached
                ipcp <ipcp name>         until the IPCP is in a layer
                irmd                     until the IRMd answers
                [timeout <seconds> (default: 20)]
`,
  "save": `Usage: irm save [<file> (default: standard output)]
`,
  "user": `Usage: irm user [OPERATION]

where OPERATION in {list help}
`,
  "bind": `Usage: irm bind [OPERATION]

where OPERATION in {program process ipcp help}
`,
  "bind program": `Usage: irm bind program <program>
           name <name>
           [auto] (instantiate program if not running)
           [-- <application arguments>]
`,
  "bind process": `Usage: irm bind process <pid> name <name>
`,
  "bind ipcp": `Usage: irm bind ipcp <name> name <name>
`,
  "unbind": `Usage: irm unbind [OPERATION]

where OPERATION in {program process ipcp help}
`,
  "unbind program": `Usage: irm unbind program <program>
                  [name <name> (default: unbind all names)]
`,
  "unbind process": `Usage: irm unbind process <pid>
                  [name <name> (default: unbind all names)]
`,
  "unbind ipcp": `Usage: irm unbind ipcp <name>
                  [name <name> (default: remove all IPCP info)]
`,
  "name": `Usage: irm name [OPERATION]

where OPERATION in {create destroy
                    register unregister
                    list
                    help}
`,
  "name create": `Usage: irm name create
                <name>. max 255 chars.
                [lb LB_POLICY], default: round-robin
                [sencpath <path>, default: <security_dir>/server/<name>/enc.conf]
                [scrtpath <path>, default: <security_dir>/server/<name>/crt.pem]
                [skeypath <path>, default: <security_dir>/server/<name>/key.pem]
                [cencpath <path>, default: <security_dir>/client/<name>/enc.conf]
                [ccrtpath <path>, default: <security_dir>/client/<name>/crt.pem]
                [ckeypath <path>, default: <security_dir>/client/<name>/key.pem]

where LB_POLICY in {round-robin spillover}
`,
  "name destroy": `Usage: irm name destroy <name>
`,
  "name register": `Usage: irm name register <name>
           ipcp <ipcp to register with>
           [ipcp <ipcp to register with>]
           [... (maximum 128 ipcps)]
           layer <layer to register with>
           [layer <layer to register with>]
           [... (maximum 128 layers)]
`,
  "name unregister": `Usage: irm name unregister <name>
           ipcp <ipcp to register with>
           [ipcp <ipcp to register with>]
           [... (maximum 128 ipcps)]
           layer <layer to unregister from>
           [layer <layer to unregister from>]
           [... (maximum 128 layers)]
`,
} as const;

/** A command that has a usage text. */
export type UsageOf = keyof typeof USAGE;
