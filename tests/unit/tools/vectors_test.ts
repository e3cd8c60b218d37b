/**
 * What operf, oecho, ocbr, obc and ovpn print and send, by the vectors, without a daemon. Command lines
 * that get as far as a flow, `live.` and `srv.` are walked in tests/e2e/tools_test.ts.
 */

import { assertEquals } from "@std/assert";
import { parseObc } from "../../../tools/obc.ts";
import { parseOecho } from "../../../tools/oecho.ts";
import { Meter, reportLine, sentLine } from "../../../tools/ocbr/meter.ts";
import { parseOcbr } from "../../../tools/ocbr/options.ts";
import { Pacer } from "../../../tools/ocbr/pacer.ts";
import { parseOperf } from "../../../tools/operf/options.ts";
import { encodeConfig, TestType } from "../../../tools/operf/protocol.ts";
import { announcement, header, statistics } from "../../../tools/operf/text.ts";
import { parseOvpn } from "../../../tools/ovpn/options.ts";
import { type ToolCase, toolCases } from "./vectors.ts";
import { textOf } from "../../support/hex.ts";

const cases = toolCases();

/**
 * Whether a refusal is of a word that the prototype reads to its first odd character, or lets overflow: no whole number
 * of 31 bits with a unit, or no QoS.
 */
function isNonsense(err: string, argv: readonly string[]): boolean {
  const word = /takes .*, not "(.*)"/s.exec(err)?.[1] ?? /^"(.*)" is no QoS/s.exec(err)?.[1];
  if (word === undefined || !argv.some((arg) => arg.includes(word))) return false;
  const number = /^([0-9]+)(|[kMG](bit)?|b|us|ms|[smhd])$/.exec(word);
  return number === null || Number(number[1]) >= 2 ** 31;
}

type Exit = { kind: "exit"; code: number; out: string; err?: string } | { kind: "run" };

function parse(argv: readonly string[]): Exit {
  const [tool, ...args] = argv;
  switch (tool) {
    case "operf":
      return parseOperf(args);
    case "ocbr":
      return parseOcbr(args);
    case "oecho":
      return parseOecho(args);
    case "obc":
      return parseObc(args);
    case "ovpn":
      return parseOvpn(args);
    default:
      throw new Error(`${tool} is not a tool of this room`);
  }
}

for (const one of cases.get("cli")!) {
  // Without an IRMd the prototype refuses even --help; ours parses first.
  if (one.input.irmd === false) continue;
  Deno.test(`${one.name} as the prototype prints it`, () => {
    const got = parse(one.input.argv!);
    // The prototype forgets a letter of its name.
    const out = textOf(one.hex).replace(/^(No server specified\.\n)?Usage: cbr /, "$1Usage: ocbr ");
    if (got.kind === "run") {
      // It stops at the flow that nobody answers.
      assertEquals(/Failed to (allocate flow|join broadcast)\.\n$/.test(out), true, out);
      return;
    }
    if (got.out === "" && isNonsense(got.err ?? "", one.input.argv!)) {
      return assertEquals(got.code, 1);
    }
    assertEquals(got.out, out);
    assertEquals(got.code, one.exit_code);
    const err = textOf(one.stderr_hex!);
    if (err !== "") assertEquals(`${got.err}\n`, err);
  });
}

for (const one of cases.get("operf")!) {
  Deno.test(`${one.name} as the prototype prints it`, () => {
    const { argv, sent, received, elapsed_us } = one.input;
    const command = parseOperf(argv!.slice(1));
    if (command.kind !== "run") throw new Error(command.out);
    const o = command.options;
    const result = { sent: sent!, received: received!, elapsedUs: elapsed_us! };
    const text = o.notice + announcement(o.test) + header(o) + "Test finished.\n" +
      statistics(o, result);
    assertEquals(text, textOf(one.hex));
    const type = o.test === "bi" ? TestType.BI : TestType.UNI;
    assertEquals(one.config_packet_hex!.map((hex) => Uint8Array.fromHex(hex)), [
      encodeConfig(type),
    ]);
  });
}

/** Runs a client under a clock that moves by the cost of a write and by exact sleeps. */
function ocbrClient(one: ToolCase): string {
  const command = parseOcbr(one.input.argv!.slice(1));
  if (command.kind !== "run") throw new Error(command.out);
  const o = command.options;
  const startNs = 1000e9;
  const gapNs = o.flood ? 0 : o.sizeBytes * 8e9 / o.rate;
  const pacer = new Pacer({ durationS: o.durationS, gapNs, startNs });
  let nowNs = startNs;
  for (;;) {
    const step = pacer.step(nowNs);
    if (step.do === "end" || one.input.write_fails_after === pacer.sent) break;
    if (step.do === "wait") {
      nowNs = step.untilNs;
      continue;
    }
    const beforeNs = nowNs;
    nowNs += one.input.write_cost_ns!;
    pacer.onSent(beforeNs);
  }
  // A write that fails comes when the packet was due.
  const last = pacer.step(nowNs);
  if (last.do === "wait") nowNs = last.untilNs;
  return `Client started, duration ${o.durationS}, rate ${o.rate} b/s, size ${o.sizeBytes} B.\n` +
    sentLine(pacer.sent, o.sizeBytes, (nowNs - startNs) / 1000);
}

/** Runs a server's meter over reads that take the given times. */
function ocbrServer(one: ToolCase): string {
  const { fd, interval_s, timeout_s, reads } = one.input;
  const startUs = 1e9;
  const meter = new Meter({
    fd: fd!,
    intervalUs: interval_s! * 1e6,
    timeoutUs: timeout_s! * 1e6,
    startUs,
  });
  let text = "";
  let nowUs = startUs;
  for (let i = 0; !meter.timedOut; i++) {
    const sampledUs = nowUs;
    const read = reads![i] ?? { after_us: 100_000, result: -110 };
    nowUs += read.after_us;
    meter.onPacket(read.result, nowUs);
    const report = meter.poll(sampledUs);
    if (!report) continue;
    if (report.final) text += `Test on flow ${report.fd} timed out\n`;
    text += reportLine(report);
  }
  return text;
}

for (const one of cases.get("ocbr")!) {
  Deno.test(`${one.name} as the prototype prints it`, () => {
    const got = one.input.tool === "ocbr server" ? ocbrServer(one) : ocbrClient(one);
    assertEquals(got, textOf(one.hex));
  });
}
