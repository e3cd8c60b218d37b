// What drives machines: effects in order, one timer for all of them, tokens, and nothing after the end.

import { assertEquals } from "@std/assert";
import { Deadlines } from "../../../ipcp/deadlines.ts";
import type { Machine } from "../../../ipcp/machine.ts";
import { MachineShell } from "../../../ipcp/machine_shell.ts";

/** Wants what it is told, and says when something was due. */
class Echo implements Machine<string> {
  readonly out: string[] = [];
  readonly deadlines = new Deadlines<string>();
  poll(): string | undefined {
    return this.out.shift();
  }
  onTimer(nowUs: number): void {
    for (let k = this.deadlines.take(nowUs); k !== undefined; k = this.deadlines.take(nowUs)) {
      this.out.push(k);
    }
  }
  deadlineUs(): number {
    return this.deadlines.nextUs;
  }
}

function setup() {
  const shell = new MachineShell<string>(() => performance.now() * 1000);
  const seen: string[] = [];
  const one = new Echo();
  const two = new Echo();
  shell.drive(one, (e) => {
    seen.push(e);
    if (e === "again") shell.feed(() => two.out.push("nested"));
  });
  shell.drive(two, (e) => seen.push(e));
  return { shell, seen, one, two };
}

Deno.test("effects are done in order, and what they cause after them", () => {
  const { shell, seen, one } = setup();
  shell.feed(() => one.out.push("again", "second"));
  assertEquals(seen, ["again", "nested", "second"]);
  shell.stop();
});

Deno.test("one timer serves the deadlines of all machines", async () => {
  let now = 0;
  const shell = new MachineShell(() => now);
  const seen: string[] = [];
  const one = new Echo();
  const two = new Echo();
  const done = Promise.withResolvers<void>();
  // Each thing that is due lets time go on to the next.
  const perform = (e: string) => {
    seen.push(e);
    now += 1000;
    if (e === "last") done.resolve();
  };
  shell.drive(one, perform);
  shell.drive(two, perform);
  shell.feed(() => {
    one.deadlines.set("second", 2000);
    two.deadlines.set("first", 1000);
    two.deadlines.set("last", 3000);
    one.deadlines.set("never", 1e15); // longer than a timer can be
  });
  now = 1000;
  await done.promise;
  assertEquals(seen, ["first", "second", "last"]);
  shell.stop();
});

Deno.test("a command waits for its answer, at the latest until the end", async () => {
  const { shell, one } = setup();
  let token = 0;
  const first = shell.command((_nowUs, t) => token = t);
  const second = shell.command(() => {});
  assertEquals(shell.waiting, 2);
  shell.answer(token, "why");
  shell.answer(token, 0);
  shell.stop(() => one.out.push("last"));
  assertEquals([await first, await second], ["why", -1004]);
  assertEquals(await shell.command(() => {}), -1004);
});

Deno.test("nothing reaches a machine after the end", () => {
  const { shell, seen, one } = setup();
  shell.feed((nowUs) => one.deadlines.set("late", nowUs));
  shell.stop();
  shell.feed(() => one.out.push("dead"));
  assertEquals(seen, []);
});
