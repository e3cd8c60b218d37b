/**
 * The connections of a member of a layer: made, accepted, made again after a failure, ended (spec 60 §10). Pure.
 *
 * A connection is a flow of the layer below that two components agreed on (`cep.ts`). Three kinds of them: Enrollment
 * flows live for one enrollment (`enrollment.ts`); Management and Data Transfer ones until somebody disconnects.
 *
 *     connect ─▶ asking ─▶ greeting ─▶ up ◀──▶ down ─▶ over
 *                  ▲                              │
 *                  └── back-off, if we made it ◀──┘
 *
 * The shell allocates and accepts flows, and moves messages; every decision and every time-out is here. What this side
 * made (`wishes.ts`) is made again when it breaks, until it is disconnected; what the other side made ends when it
 * says so, or when nothing came for its time. Several flows to one neighbour may exist for a while (it restarted, or
 * both connected): the newest counts.
 */

import { Errno } from "../../lib/errno.ts";
import type { Failure } from "../../lib/failure.ts";
import type { IpcpConfig } from "../../lib/wire/ipcp_config.ts";
import { QOS, type QosSpec } from "../../lib/qos.ts";
import { dotted } from "../../lib/wire/dt_pci.ts";
import { NowAndThen } from "../now_and_then.ts";
import {
  checkAnswer,
  type Component,
  ENROLLMENT,
  farewell,
  farewellOf,
  judge,
  MANAGEMENT,
  presentation,
  REFUSAL,
} from "./cep.ts";
import type { Connection, ConnectionEffect } from "./effects.ts";
import { Enrollee, EnrollmentServer, type EnrollmentStep } from "./enrollment.ts";
import { type Link, Links } from "./links.ts";
import { type Wish, Wishes } from "./wishes.ts";

/** How long the other side has to present itself, µs; the prototype gives 1 s. */
export const GREETING_US = 3e6;
/** How long a flow that is down may come back before a new one is tried, µs. */
export const DOWN_GRACE_US = 500e3;
/** How long a flow that the other side made may be down before it is given up, µs. */
export const DOWN_LIFE_US = 180e6;
/** Flows that may be in their greeting or enrollment at once; more are refused. */
export const GREETINGS_MAX = 128;
/** Tries to meet one member of several that have the same name. */
export const STRANGERS_MAX = 8;
/** Flows to one neighbour for one component. */
export const TWINS_MAX = 4;

/** What the machine is made with. */
export interface ConnectionOptions {
  /** Number of the IPCP type, which an enrollment must name. */
  readonly ipcpType: number;
  /** Components other than Enrollment. */
  readonly components: readonly Component[];
  /** 8 random bytes. */
  readonly randomId: () => Uint8Array;
  /** A uniform random 32-bit number. */
  readonly random: () => number;
  /** µs since 1970 at a time of the machine's clock. */
  readonly wallUs: (nowUs: number) => number;
}

export class Connections {
  readonly #options: ConnectionOptions;
  readonly #components: readonly Component[];
  readonly #links = new Links();
  readonly #out: ConnectionEffect[] = [];
  /** What this side wants. */
  readonly #wishes: Wishes;
  /** What strangers can make happen again and again. */
  readonly #refusals = new NowAndThen();
  readonly #failures = new NowAndThen();
  #address = 0;
  #conf: IpcpConfig | undefined;
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#components = [ENROLLMENT, ...options.components];
    this.#wishes = new Wishes(options.random, this.#out);
  }

  /** The next thing to do, oldest first. */
  poll(): ConnectionEffect | undefined {
    return this.#out.shift();
  }

  /**
   * We are in a layer: `conf` is handed to nodes that enrol here, `address` is our own. Until this is said nobody can
   * enrol or connect.
   */
  setLayer(conf: IpcpConfig, address: number): void {
    this.#conf = conf;
    this.#address = address;
  }

  /** Open connections, the oldest first. */
  open(): IterableIterator<Connection> {
    return this.#links.connections();
  }

  /** The connection on a flow. */
  of(flow: number): Connection | undefined {
    return this.#links.get(flow)?.connection;
  }

  /** Flows that are not agreed on yet. */
  get pending(): number {
    return this.#links.pending;
  }

  // Commands.

  /** ENROLL: becomes a member of the layer of `dst`. One at a time. */
  enroll(_nowUs: number, dst: string, token: number): void {
    for (const wish of this.#wishes) {
      if (wish.component !== ENROLLMENT) continue;
      return this.#answer(token, {
        code: -Errno.EIPCPSTATE,
        stage: "enroll",
        cause: `an enrollment with "${wish.dst}" is under way`,
      });
    }
    this.#wishes.add(dst, ENROLLMENT, QOS.raw, token);
  }

  /** The components run with the configuration of the `joined` effect, or why they do not. */
  started(_nowUs: number, failure?: Failure): void {
    for (const link of this.#links.all()) {
      const ack = link.enrollee?.started(failure?.code ?? 0);
      if (ack === undefined) continue;
      this.#write(link.flow, ack);
      const wish = link.wish;
      this.#end(link);
      if (wish !== undefined) this.#wishes.settle(wish, failure);
      return;
    }
  }

  /** CONNECT: a component, by its name, to the member that `dst` names. */
  connect(_nowUs: number, dst: string, name: string, qos: QosSpec, token: number): void {
    const component = this.#options.components.find((c) => c.name === name);
    const refuse = (code: number, cause: string) => {
      this.#answer(token, { code, stage: "connect", cause });
    };
    if (component === undefined) return refuse(-Errno.EPERM, `no such component: ${name}`);
    if (this.#conf === undefined) {
      return refuse(-Errno.EIPCPSTATE, "it is in no layer yet (bootstrap or enroll it first)");
    }
    const wish = this.#wishes.of(dst, component);
    if (wish === undefined) return void this.#wishes.add(dst, component, qos, token);
    if (wish.state === "up") return this.#answer(token);
    if (wish.token !== undefined) {
      return refuse(-Errno.EBUSY, `a connection with "${dst}" is being made already`);
    }
    // It is being made again: the command waits for that.
    wish.token = token;
    if (wish.state === "waiting") this.#wishes.ask(wish);
  }

  /**
   * DISCONNECT: the connection that was made to `dst`, or one that the other side made, by its address; -ENOENT if
   * there is none.
   */
  disconnect(_nowUs: number, dst: string, name: string, token: number): void {
    const component = this.#components.find((c) => c.name === name);
    if (component === undefined || component === ENROLLMENT) {
      const cause = `no such component: ${name}`;
      return this.#answer(token, { code: -Errno.EPERM, stage: "disconnect", cause });
    }
    const wish = this.#wishes.of(dst, component);
    if (wish !== undefined) {
      this.#drop(wish, `disconnected from "${dst}"`);
      return this.#answer(token);
    }
    let found = false;
    for (const link of this.#links.all()) {
      const c = link.connection;
      if (c === undefined || c.component !== component || !component.addressed) continue;
      if (c.address === 0) continue;
      if (dst === dotted(c.address) || dst === `${c.address}`) {
        found = true;
        this.#leave(link, `disconnected from ${dst}`);
      }
    }
    if (found) return this.#answer(token);
    const cause = `it is not connected to "${dst}"`;
    this.#answer(token, { code: -Errno.ENOENT, stage: "disconnect", cause });
  }

  // What happens below.

  /** The flow that an `alloc` effect asked for, or why there is none. */
  allocated(nowUs: number, ask: number, flow: number | Failure): void {
    const wish = this.#wishes.asked(ask);
    if (typeof flow !== "number") {
      if (wish !== undefined && !wish.cancelled) this.#wishes.failed(nowUs, wish, flow);
      return;
    }
    if (wish === undefined || wish.cancelled || this.#closed) return this.#close(flow);
    wish.state = "greeting";
    wish.flow = flow;
    const link = this.#links.add(flow, nowUs + GREETING_US);
    link.wish = wish;
    link.component = wish.component;
    this.#write(flow, presentation(wish.component, this.#address));
  }

  /** Somebody allocated a flow to one of our names. */
  accepted(nowUs: number, flow: number): void {
    if (this.#closed || this.pending >= GREETINGS_MAX) return this.#close(flow);
    this.#links.add(flow, nowUs + GREETING_US);
  }

  /** A message came on a flow. */
  onMessage(nowUs: number, flow: number, bytes: Uint8Array): void {
    const link = this.#links.get(flow);
    if (link === undefined || bytes.length === 0) return;
    switch (link.state) {
      case "greeting":
        return link.wish === undefined
          ? this.#onPresentation(nowUs, link, bytes)
          : this.#onAnswer(nowUs, link, link.wish, bytes);
      case "enrolling":
        return this.#onEnrollment(nowUs, link, bytes);
      case "up":
        return this.#onComponent(link, bytes);
    }
  }

  /** The interface below went down, or came back: the flow is not gone. */
  onUsable(nowUs: number, flow: number, usable: boolean): void {
    const link = this.#links.get(flow);
    if (link === undefined) return;
    const connection = link.connection;
    if (connection === undefined) {
      if (!usable) this.#lost(nowUs, link, "the flow went down", -Errno.EFLOWDOWN);
      return;
    }
    if (usable === (link.downUs === undefined)) return;
    link.downUs = usable ? undefined : nowUs;
    link.untilUs = usable
      ? Infinity
      : nowUs + (link.wish === undefined ? DOWN_LIFE_US : DOWN_GRACE_US);
    this.#out.push({ kind: "usable", connection, usable });
  }

  /** The flow is over: the other side closed it, or was silent for its time. */
  onGone(nowUs: number, flow: number, cause: string): void {
    const link = this.#links.get(flow);
    if (link !== undefined) this.#lost(nowUs, link, cause, -Errno.EFLOWPEER);
  }

  /** The other side says that it ends the connection on a flow: it is not made again. */
  onLeft(flow: number): void {
    const link = this.#links.get(flow);
    if (link?.connection !== undefined) this.#left(link);
  }

  /** Do what is due. */
  onTimer(nowUs: number): void {
    this.#wishes.onTimer(nowUs);
    for (const link of this.#links.all()) {
      if (link.enrollee !== undefined || link.server !== undefined) {
        this.#step(nowUs, link, (link.enrollee ?? link.server)!.onTimer(nowUs));
      } else if (link.untilUs <= nowUs) {
        if (link.state === "greeting") {
          const cause = `it did not answer within ${GREETING_US / 1e6} s`;
          this.#lost(nowUs, link, cause, -Errno.ETIMEDOUT);
        } else this.#lost(nowUs, link, "the flow stayed down", -Errno.EFLOWDOWN);
      }
    }
  }

  /** When {@linkcode onTimer} has something to do next, µs, or Infinity. */
  deadlineUs(): number {
    return Math.min(this.#wishes.deadlineUs(), this.#links.deadlineUs());
  }

  /** The IPCP stops: every connection is left, every command answered. */
  close(_nowUs: number): void {
    this.#closed = true;
    const cause = "the IPCP stops";
    // Farewells go over Management flows, so these are left last.
    const links = this.#links.all();
    const [last, first] = [true, false].map((mgmt) =>
      links.filter((l) => (l.component === MANAGEMENT) === mgmt)
    );
    for (const link of [...first!, ...last!]) this.#leave(link, cause);
    for (const wish of [...this.#wishes]) {
      this.#wishes.settle(wish, { code: -Errno.EIPCPSTATE, stage: "connect", cause });
    }
  }

  /** Nobody wants it any more. */
  #drop(wish: Wish, cause: string): void {
    const link = this.#links.get(wish.flow);
    this.#wishes.settle(wish, { code: -Errno.EPERM, stage: "connect", cause });
    if (link !== undefined) this.#leave(link, cause);
  }

  // Greetings.

  #onAnswer(nowUs: number, link: Link, wish: Wish, bytes: Uint8Array): void {
    const peer = checkAnswer(wish.component, this.#address, bytes);
    if ("code" in peer) return this.#lost(nowUs, link, peer.cause, peer.code);
    if (wish.component !== ENROLLMENT) return this.#onMember(nowUs, link, wish, peer.address);
    const wallUs = this.#options.wallUs(nowUs);
    const enrollee = new Enrollee(
      this.#options.ipcpType,
      this.#options.randomId(),
      nowUs,
      wallUs,
    );
    link.state = "enrolling";
    link.enrollee = enrollee;
    link.untilUs = Infinity;
    this.#log("info", `[${enrollee.idText}] Requesting enrollment.`);
    this.#write(link.flow, enrollee.request());
  }

  /**
   * A member answered to the name that was connected to. Where several have it (the layer's), all components are to be
   * connected to the same one.
   */
  #onMember(nowUs: number, link: Link, wish: Wish, address: number): void {
    const wanted = this.#memberOf(wish);
    if (wanted === undefined || wanted === address) return this.#up(link, wish.component, address);
    wish.strangers += 1;
    if (!wish.proven && wish.strangers < STRANGERS_MAX) {
      this.#end(link);
      return this.#wishes.ask(wish);
    }
    const cause = `member ${dotted(address)} answers to it, the other connection is with ` +
      `${dotted(wanted)} (connect to a member by its own name)`;
    this.#lost(nowUs, link, cause, -Errno.EAGAIN);
  }

  /** The member that another component has a connection with by the name of a wish. */
  #memberOf({ dst, component }: Wish): number | undefined {
    if (!component.addressed) return undefined;
    for (const other of this.#wishes) {
      if (other.dst !== dst || other.component === component || other.state !== "up") continue;
      const address = this.#links.get(other.flow)?.connection?.address ?? 0;
      if (address !== 0) return address;
    }
    return undefined;
  }

  #onPresentation(nowUs: number, link: Link, bytes: Uint8Array): void {
    const answer = judge(this.#components, this.#address, bytes);
    if (answer.kind === "refused") {
      const n = this.#refusals.happened(nowUs);
      const what = n === 1 ? "a connection" : `${n} connections, the last one`;
      if (n > 0) this.#log("error", `Refused ${what}: ${answer.failure.cause}.`);
      if (answer.tell) this.#write(link.flow, REFUSAL);
      return this.#end(link);
    }
    const { component, peer } = answer;
    if (component === ENROLLMENT) {
      this.#write(link.flow, presentation(component, this.#address));
      link.state = "enrolling";
      link.server = new EnrollmentServer(nowUs);
      link.untilUs = Infinity;
      return;
    }
    if (this.#conf === undefined) {
      this.#write(link.flow, REFUSAL);
      return this.#end(link);
    }
    this.#write(link.flow, presentation(component, this.#address));
    this.#up(link, component, peer.address);
  }

  #up(link: Link, component: Component, address: number): void {
    const wish = link.wish;
    const connection = { flow: link.flow, component, address, dst: wish?.dst ?? "" };
    link.state = "up";
    link.component = component;
    link.connection = connection;
    link.untilUs = Infinity;
    this.#out.push({ kind: "up", connection });
    const who = address !== 0 ? ` with ${dotted(address)}` : "";
    this.#log("info", `${component.name} connection${who} is up (flow ${link.flow}).`);
    if (address !== 0) this.#endOldest(connection);
    if (wish === undefined) return;
    this.#wishes.fulfilled(wish);
  }

  /** A neighbour that connects again and again cannot pile up flows. */
  #endOldest(connection: Connection): void {
    const twins = this.#links.twins(connection);
    const accepted = twins.filter((l) => l.wish === undefined);
    for (let i = 0; i < twins.length - TWINS_MAX && i < accepted.length; i++) {
      this.#leave(accepted[i]!, "a newer connection took its place");
    }
  }

  #onComponent(link: Link, bytes: Uint8Array): void {
    const connection = link.connection!;
    if (connection.component === MANAGEMENT) {
      const name = farewellOf(bytes, connection.address);
      if (name !== undefined) return this.#onFarewell(connection.address, name);
    }
    this.#out.push({ kind: "message", connection, bytes });
  }

  /** The neighbour has closed its flows of a component to us. */
  #onFarewell(address: number, name: string): void {
    for (const link of this.#links.all()) {
      const c = link.connection;
      if (c === undefined || c.component.name !== name || c.address !== address) continue;
      this.#left(link);
    }
  }

  #left(link: Link): void {
    const cause = "the other side disconnected";
    const { wish } = link;
    link.wish = undefined;
    // It does not want us: making it again would be refused or undone.
    if (wish !== undefined) {
      this.#wishes.settle(wish, { code: -Errno.ECONNRESET, stage: "connect", cause });
    }
    this.#gone(link, cause);
  }

  // Enrollment.

  #onEnrollment(nowUs: number, link: Link, bytes: Uint8Array): void {
    const step = link.enrollee !== undefined
      ? link.enrollee.onMessage(nowUs, bytes)
      : link.server!.onMessage(nowUs, this.#options.wallUs(nowUs), bytes, this.#conf);
    this.#step(nowUs, link, step);
  }

  #step(nowUs: number, link: Link, step: EnrollmentStep): void {
    switch (step.kind) {
      case "wait":
        return;
      case "write":
        this.#log("info", "Handling incoming enrollment.");
        return this.#write(link.flow, step.bytes);
      case "joined": {
        const { joining } = step;
        if (joining.clockOff) {
          const ms = Math.round(joining.clockOffsetUs / 1000);
          this.#log("warn", `Clock offset above threshold: ${ms} ms.`);
        }
        const dst = link.wish?.dst ?? "";
        return void this.#out.push({ kind: "joined", dst, joining });
      }
      case "over": {
        const { failure } = step;
        if (link.wish !== undefined && failure !== undefined) {
          return this.#lost(nowUs, link, failure.cause, failure.code, failure.stage);
        }
        if (failure === undefined) this.#log("info", "Enrollment completed.");
        else this.#sayFailed(nowUs, failure.cause);
        return this.#end(link);
      }
    }
  }

  #sayFailed(nowUs: number, cause: string): void {
    const n = this.#failures.happened(nowUs);
    if (n === 1) this.#log("error", `Enrollment failed: ${cause}.`);
    else if (n > 1) this.#log("error", `${n} enrollments failed, the last one: ${cause}.`);
  }

  // Ends.

  /** A flow broke, was refused, or was silent too long. */
  #lost(
    nowUs: number,
    link: Link,
    cause: string,
    code: number,
    stage = "connection establishment",
  ): void {
    const { wish } = link;
    link.wish = undefined;
    this.#gone(link, cause);
    if (wish === undefined) return;
    this.#wishes.failed(nowUs, wish, { code, stage, cause: `"${wish.dst}": ${cause}` });
  }

  /** We end it ourselves: a neighbour of our kind is told where there is a way to. */
  #leave(link: Link, cause: string): void {
    const c = link.connection;
    if (c !== undefined && c.component.addressed) {
      const way = this.#links.management(c.address);
      if (way !== undefined) this.#write(way.flow, farewell(c.component, this.#address));
    }
    this.#gone(link, cause);
  }

  /** The connection, if it was one, is over, and so is the flow. */
  #gone(link: Link, cause: string): void {
    const { connection } = link;
    const twins = connection === undefined ? [] : this.#links.twins(connection);
    const newest = twins.at(-1) === link;
    if (connection === undefined) return this.#end(link);
    // The last words on the flow are said before it is closed.
    this.#out.push({ kind: "gone", connection, cause });
    this.#end(link);
    const who = connection.address !== 0 ? ` with ${dotted(connection.address)}` : "";
    this.#log("info", `${connection.component.name} connection${who} is over: ${cause}.`);
    // An older flow to the same neighbour takes its place.
    const twin = twins.findLast((l) => l !== link && l.downUs === undefined)?.connection;
    if (newest && twin !== undefined) this.#out.push({ kind: "up", connection: twin });
  }

  #end(link: Link): void {
    if (!this.#links.remove(link)) return;
    this.#close(link.flow);
  }

  #close(flow: number): void {
    this.#out.push({ kind: "close", flow });
  }

  #write(flow: number, bytes: Uint8Array): void {
    this.#out.push({ kind: "write", flow, bytes });
  }

  #answer(token: number, failure?: Failure): void {
    this.#out.push(
      failure === undefined ? { kind: "answer", token } : { kind: "answer", token, failure },
    );
  }

  #log(level: "info" | "warn" | "error", line: string): void {
    this.#out.push({ kind: "log", level, line });
  }
}
