/** The usage texts of `oping`: the prototype's, and what is new. Pure. */

/** Exactly the prototype's text (spec 80 §1.2). */
export const USAGE = `Usage: oping [OPTION]...

Checks liveness between a client and a server
and reports the Round Trip Time (RTT)

  -l, --listen            Run in server mode
      --poll              Server uses polling (lower latency)
      --busy              Server uses busy-poll (single flow)

  -c, --count             Number of packets
  -d, --duration          Duration of the test (default 1s)
  -f, --flood             Send back-to-back without waiting
  -F, --flood-busy        Flood with busy-polling (lower latency)
  -i, --interval          Interval (default 1000ms)
  -n, --server-name       Name of the oping server
  -q, --qos               QoS (raw, best, video, voice, data)
  -s, --size              Payload size (B, default 64)
  -Q, --quiet             Only print final statistics
  -D, --timeofday         Print time of day before each line

      --help              Display this help text and exit
`;

/** What \`ouro help oping\` adds. */
export const MORE = `
Beyond the prototype:
  oping [OPTION]... NAME... Ping names without -n, several at once
      --stats             Add percentiles and a histogram to the statistics
      --percentiles LIST  Percentiles to show, e.g. 50,99 (default 50,90,99,99.9)
      --json              Print one JSON document instead of text (times in ns)
      --timeout TIME      Give up after so long without a reply
      --deadline TIME     End after so long in any case
      --report TIME       Print a line about each such interval (SIGUSR1: the sums)
      --keepalive TIME    Both ends notice a lost peer after so long (default 120s)
      --strict-exit       Exit 1 without any reply, 2 after an error
      --once              Server: end after the first flow
      --max-flows N       Server: refuse more flows than that
      --idle TIME         Server: drop a flow without requests (default 12s)

Words may be joined: --count=5, -c5, -fQ. Times take us, ms, s, m, h, d and
decimals; without a unit they are ms. With -f and -F a duration ends the run;
otherwise it sets the number of packets.
`;
