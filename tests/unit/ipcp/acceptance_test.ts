// When the verdict of an acceptor counts: one of each flow, early ones for a while, with a pool that can be used.

import { assertEquals } from "@std/assert";
import { Acceptance, EARLY_VERDICT_LIFE_US, type GivenVerdict } from "../../../ipcp/acceptance.ts";
import { ARRIVAL_LIFE_US } from "../../../ipcp/arrivals.ts";
import type { Answer, OwnPool } from "../../../ipcp/machine.ts";
import { Errno } from "../../../lib/errno.ts";
import { OAP, order } from "../../support/machines.ts";

const TAKEN = { response: 0, data: OAP };
const REFUSED = { response: -13, data: OAP, cause: "closed" };
/** What a command that is refused is answered with. */
const NO = -Errno.EPERM;

interface TestFlow {
  readonly flowId: number;
  state: string;
  verdict: GivenVerdict | undefined;
}

/** With the flows that it is told to have. */
function machine() {
  const flows = new Map<number, TestFlow>();
  const wanted: (Answer | OwnPool)[] = [];
  const settled: [nowUs: number, flowId: number, token: number, response: number][] = [];
  const it = { asking: true };
  const acceptance = new Acceptance<TestFlow>({
    flow: (flowId) => flows.get(flowId),
    isAsking: () => it.asking,
    want: (e) => wanted.push(e),
    settle: (nowUs, flow, verdict, response) => {
      settled.push([nowUs, flow.flowId, verdict.token, response]);
    },
  });
  const add = (flowId: number, state = "arrived"): TestFlow => {
    const flow = { flowId, state, verdict: undefined };
    flows.set(flowId, flow);
    return flow;
  };
  /** Tokens and results of commands, since the last look. */
  const answers = () => {
    return wanted.splice(0).map((e) => e.kind === "answer" ? [e.token, e.result] : e);
  };
  return { acceptance, it, add, answers, settled };
}

Deno.test("a verdict is settled once the pool is used, a refusal at once", () => {
  const { acceptance, add, answers, settled } = machine();
  const flow = add(1);
  acceptance.respond(10, order(1, 1000), TAKEN, 5);
  assertEquals(answers(), [{ kind: "own", flowId: 1, uid: 1000 }]);
  assertEquals([settled, flow.verdict?.token], [[], 5]);
  acceptance.owned(11, 1, 7);
  assertEquals([settled, flow.verdict], [[[11, 1, 5, 0]], undefined]);
  // Nothing waits for a pool any more.
  acceptance.owned(12, 1, 0);
  acceptance.owned(12, 9, 0);
  assertEquals(settled.length, 1);
  add(2);
  acceptance.respond(13, order(2), REFUSED, 6);
  assertEquals([settled[1], answers()], [[13, 2, 6, -13], []]);
});

Deno.test("a pool that cannot be used is what the verdict comes to", () => {
  const { acceptance, add, settled } = machine();
  add(1);
  acceptance.respond(0, order(1), TAKEN, 5);
  acceptance.owned(1, 1, -12);
  assertEquals(settled, [[1, 1, 5, -12]]);
});

Deno.test("one verdict is enough, and only a flow that arrived has one", () => {
  const { acceptance, add, answers, settled } = machine();
  add(1);
  acceptance.respond(0, order(1), TAKEN, 5);
  answers();
  acceptance.respond(1, order(1), REFUSED, 6);
  add(2, "open");
  acceptance.respond(1, order(2), TAKEN, 7);
  assertEquals([answers(), settled], [[[6, NO], [7, NO]], []]);
});

Deno.test("a verdict that overtakes the answer to the request waits for the flow, but not for ever", () => {
  const { acceptance, add, answers, settled } = machine();
  acceptance.respond(100, order(1), REFUSED, 5);
  acceptance.respond(200, order(2), TAKEN, 6);
  acceptance.respond(200, order(1), REFUSED, 7); // one is enough
  assertEquals([answers(), acceptance.deadlineUs()], [[[7, NO]], 100 + EARLY_VERDICT_LIFE_US]);
  acceptance.entered(300, add(1));
  assertEquals([settled, answers()], [[[300, 1, 5, -13]], []]);
  assertEquals(acceptance.deadlineUs(), 200 + EARLY_VERDICT_LIFE_US);
  acceptance.onTimer(acceptance.deadlineUs() - 1);
  assertEquals(answers(), []);
  acceptance.onTimer(acceptance.deadlineUs());
  assertEquals([answers(), acceptance.deadlineUs()], [[[6, NO]], Infinity]);
  acceptance.entered(9e6, add(2));
  assertEquals([settled.length, answers()], [1, []]);
});

Deno.test("a verdict for which no flow can come is refused at once", () => {
  const { acceptance, it, answers } = machine();
  it.asking = false;
  acceptance.respond(0, order(1), TAKEN, 5);
  assertEquals([answers(), acceptance.deadlineUs()], [[[5, NO]], Infinity]);
});

Deno.test("of a flow that nobody waits for any more the verdict is refused, before and after", () => {
  const { acceptance, answers } = machine();
  acceptance.respond(0, order(1), TAKEN, 5);
  acceptance.passOver(1, 1);
  assertEquals([answers(), acceptance.deadlineUs()], [[[5, NO]], Infinity]);
  acceptance.passOver(2, 2);
  acceptance.respond(3, order(2), TAKEN, 6);
  assertEquals(answers(), [[6, NO]]);
  // That was it: the next of this id may be another flow's.
  acceptance.respond(4, order(2), TAKEN, 7);
  assertEquals([answers(), acceptance.deadlineUs()], [[], 4 + EARLY_VERDICT_LIFE_US]);
});

Deno.test("a flow that was passed over is remembered until the IRMd takes it back, or its time is over", () => {
  const { acceptance, answers } = machine();
  acceptance.passOver(0, 1);
  acceptance.tookBack(1);
  acceptance.respond(1, order(1), TAKEN, 5);
  assertEquals(answers(), []); // it waits
  acceptance.passOver(0, 2);
  acceptance.passOver(ARRIVAL_LIFE_US - 1, 3);
  acceptance.respond(ARRIVAL_LIFE_US, order(2), TAKEN, 6);
  assertEquals(answers(), [[6, NO]]);
  acceptance.passOver(ARRIVAL_LIFE_US, 4);
  acceptance.passOver(2 * ARRIVAL_LIFE_US, 5);
  acceptance.respond(2 * ARRIVAL_LIFE_US, order(4), TAKEN, 7);
  assertEquals(answers(), []); // forgotten, so it waits as any other
  acceptance.entered(2 * ARRIVAL_LIFE_US, { flowId: 5, state: "arrived", verdict: undefined });
  acceptance.respond(2 * ARRIVAL_LIFE_US, order(5), TAKEN, 8);
  assertEquals(answers(), []);
});

Deno.test("who waits is answered when the flow goes, and when all ends", () => {
  const { acceptance, add, answers } = machine();
  const [flow, other] = [add(1), add(2)];
  acceptance.respond(0, order(1), TAKEN, 5);
  acceptance.respond(0, order(2), TAKEN, 6);
  acceptance.respond(0, order(3), TAKEN, 7);
  answers();
  acceptance.leave(flow);
  acceptance.leave(flow);
  acceptance.leave(other, -9);
  assertEquals([answers(), flow.verdict], [[[5, NO], [6, -9]], undefined]);
  acceptance.close();
  assertEquals([answers(), acceptance.deadlineUs()], [[[7, -Errno.EIPCPSTATE]], Infinity]);
  acceptance.entered(1, add(3));
  assertEquals(answers(), []);
});
