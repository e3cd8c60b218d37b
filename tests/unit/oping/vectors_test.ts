/**
 * What oping prints and sends, by the vectors, without a daemon. Command lines that get as far as a
 * flow, `live.` and `srv.` are walked with real processes in tests/e2e/oping_test.ts.
 */

import { assertEquals } from "@std/assert";
import { QOS, type QosSpec } from "../../../lib/qos.ts";
import { encode, LENGTH, parse, TYPE_REPLY } from "../../../lib/wire/oping_msg.ts";
import { type ClientOptions, parseOptions } from "../../../oping/options.ts";
import { header, PingRun } from "../../../oping/run.ts";
import { mended, type OpingCase, opingCases, takesNonsense } from "./vectors.ts";
import { textOf } from "../../support/hex.ts";

const cases = opingCases();

/** Clocks of the cases (the file's `about`). */
const MONOTONIC_NS = 1000e9 + 5;
const REAL_NS = 1700000000123456789n;

function clientOf(argv: readonly string[]): ClientOptions {
  const options = parseOptions(argv.slice(1));
  if (options.kind !== "client") throw new Error(`${argv.join(" ")} is not a client`);
  return options;
}

/** Plays a script as the prototype ran it: in normal mode all of the sender first. */
function play(one: OpingCase): { text: string; packets: string[]; readTimeoutS: number } {
  const { argv, script = [], flow_fd, elapsed_us } = one.input;
  const options = clientOf(argv!);
  const run = new PingRun(options);
  const normal = options.mode === "normal";
  let text = options.notes.map((note) => `${note}\n`).join("");
  if (!options.quiet) text += header(options);
  const packet = new Uint8Array(1500);
  const packets: string[] = [];
  const sentNs: number[] = [];
  let nowNs = MONOTONIC_NS;
  let stopped = false;

  const send = (): void => {
    const request = new Uint8Array(options.size);
    run.request(request, nowNs);
    const fails = script.some((item) => item.write_fails_at === run.sent);
    if (!fails || normal) {
      if (packets.length < 2 && !fails) packets.push(request.toHex());
      sentNs.push(nowNs);
      run.onSent();
    }
    if (fails) {
      text += "Failed to send packet.\n";
      stopped = true;
    }
  };
  const read = (item: typeof script[number]): void => {
    if (item.signal !== undefined) {
      stopped = true;
    } else if (item.read === "timeout") {
      if (!normal) throw new Error("a flood has no time-out in the cases");
      text += "Server timed out.\n";
      stopped = true;
    } else if (item.read === "error") {
      // In normal mode the prototype reads on; that ours ends when the flow is down is an e2e test.
      if (normal) return;
      if (options.mode === "flood") text += "Failed to read packet.\n";
      stopped = true;
    } else if (item.reply !== undefined) {
      const { id, rtt_us, type, len } = item.reply;
      const stampNs = sentNs[id] ?? nowNs;
      encode(packet, 0, { type, id, stampNs });
      nowNs = stampNs + rtt_us * 1000;
      const verdict = run.onPacket(packet, len, nowNs);
      if (verdict === "counted") {
        const realNs = REAL_NS + BigInt(nowNs - MONOTONIC_NS);
        if (!options.quiet) text += run.replyLine(len, realNs) + "\n";
      } else if (normal) {
        text += verdict === "invalid-type"
          ? `Invalid message on fd ${flow_fd}.\n`
          : "Invalid id.\n";
      }
    }
  };

  const reads = script.filter((item) => item.write_fails_at === undefined);
  if (normal) {
    // A run of a day is not sent in full: the cases look at its first packets only.
    const untilSignal = reads.some((item) => item.read === "timeout") ? 100_000 : Infinity;
    while (!run.allSent && !stopped && run.sent < untilSignal) {
      nowNs += options.intervalMs * 1e6;
      send();
    }
    const writeFailed = stopped;
    for (const item of reads) {
      if (writeFailed || run.complete || stopped) break;
      read(item);
    }
    if (!run.complete && !stopped) text += "Server timed out.\n";
  } else {
    for (const item of reads) {
      if (stopped || run.allSent) break;
      send();
      if (!stopped) read(item);
    }
  }
  return {
    text: text + run.statistics(elapsed_us!),
    packets,
    readTimeoutS: options.timeoutMs / 1000,
  };
}

function specOf(q: Readonly<QosSpec>): Record<string, number> {
  return {
    delay: q.delay,
    bw: Number(q.bandwidth),
    avail: q.availability,
    loss: q.loss,
    ber: q.ber,
    inord: q.inOrder,
    gap: q.maxGap,
    timeo: q.timeout,
  };
}

for (const one of cases.get("oping")!) {
  if (one.input.part === "final statistics") {
    Deno.test(`${one.name}: statistics() as the prototype prints them`, () => {
      const options = clientOf(["oping", "-n", one.input.name!, "-c", "2000000"]);
      const run = new PingRun(options);
      const packet = new Uint8Array(LENGTH);
      for (const { rtt_us, times } of one.input.rtt_samples!) {
        for (let k = 0; k < times; k++) {
          encode(packet, 0, { type: TYPE_REPLY, id: run.received, stampNs: MONOTONIC_NS });
          run.onPacket(packet, LENGTH, MONOTONIC_NS + rtt_us * 1000);
        }
      }
      run.sent = one.input.sent!;
      run.outOfOrder = one.input.out_of_order!;
      const text = run.statistics(one.input.elapsed_us!);
      // The prototype rounds the loss in single precision; the exact value is accepted (note).
      const exact = textOf(one.hex).replace(/\d+(?=% packet loss)/, (shown) => {
        const rounded = /single precision/.test(one.note);
        // Not all is lost while something was received.
        const some = shown === "100" && run.received > 0;
        return rounded || some ? String(run.lossPercent) : shown;
      });
      assertEquals(text, mended(exact));
    });
  } else if (one.input.script !== undefined) {
    if (takesNonsense(one.input.argv!)) {
      Deno.test(`${one.name}: a number or word that the prototype lets pass is refused`, () => {
        const options = parseOptions(one.input.argv!.slice(1));
        assertEquals(options.kind === "exit" && [options.code, options.text], [1, ""]);
      });
      continue;
    }
    Deno.test(`${one.name}: a scripted run prints what the prototype prints`, () => {
      const got = play(one);
      assertEquals(got.text, mended(textOf(one.hex)));
      assertEquals(got.packets, one.first_packets_hex ?? []);
      if (one.input.read_timeout_s !== undefined) {
        assertEquals(got.readTimeoutS, one.input.read_timeout_s);
      }
      const { qos } = clientOf(one.input.argv!);
      assertEquals(specOf(QOS[qos]), one.input.qosspec_passed_to_flow_alloc);
    });
  } else {
    throw new Error(`${one.name}: unknown form of case`);
  }
}

for (const one of cases.get("cli")!) {
  Deno.test(`${one.name}: parseOptions() as the prototype prints it`, () => {
    const options = parseOptions(one.input.argv!.slice(1));
    const wanted = textOf(one.hex);
    if (options.kind === "client") {
      const notes = options.notes.map((note) => `${note}\n`).join("");
      assertEquals(`${notes}Failed to allocate flow: -1007.\n`, wanted);
      return;
    }
    if (options.kind !== "exit") throw new Error("not a command line of a server");
    if (options.text === "" && takesNonsense(one.input.argv!)) {
      return assertEquals(options.code, 1);
    }
    const isHelp = one.input.argv!.includes("--help");
    // Ours shows its help without an IRMd, and with exit code 0 (spec 80 §1.2).
    if (one.input.irmd !== false) assertEquals(options.text, wanted);
    assertEquals(options.code, isHelp ? 0 : one.exit_code);
  });
}

for (const one of cases.get("pkt")!) {
  Deno.test(`${one.name}: request() gives the same bytes for the same stamp`, () => {
    const wanted = Uint8Array.fromHex(one.hex);
    const msg = { type: 0, id: 0, stampNs: 0 };
    assertEquals(parse(wanted, 0, wanted.length, msg), 0);
    const options = clientOf(one.input.argv!);
    const run = new PingRun(options);
    for (let k = 0; k < one.input.packet!; k++) run.onSent();
    const request = new Uint8Array(options.size);
    run.request(request, msg.stampNs);
    assertEquals(request, wanted);
    assertEquals(request.length, one.length);
  });
}
