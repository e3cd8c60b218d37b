/**
 * Connection establishment between components of two members of a layer (spec 50 §14, spec 60 §10.2). Pure.
 *
 * Who allocated the flow speaks first and says for which component it is and which protocol that speaks; who accepted
 * answers with the same of its own component. One message in each direction, then the flow is the component's. An
 * answer with an empty component name refuses.
 */

import { Errno } from "../../lib/errno.ts";
import type { Failure } from "../../lib/failure.ts";
import {
  CEP_BYTES_MAX,
  type CepMsg,
  CepSyntax,
  decodeCepMsg,
  encodeCepMsg,
} from "../../lib/wire/cep_msg.ts";
import { isWireError } from "../../lib/wire/mod.ts";

/** A component as it presents itself. */
export interface Component {
  /** Its name on the wire; two components of an IPCP never share one. */
  readonly name: string;
  readonly protocol: string;
  readonly version: number;
  readonly syntax: number;
  /** Whether its members have addresses, which must not be equal. */
  readonly addressed: boolean;
  /** Members without an address are welcome too: those of the prototype. */
  readonly anonymous?: true;
}

/** Enrollment, of unicast and broadcast. */
export const ENROLLMENT: Component = {
  name: "Enrollment",
  protocol: "OEP",
  version: 1,
  syntax: CepSyntax.GPB,
  addressed: false,
};
/** Management of a unicast IPCP: link state. */
export const MANAGEMENT: Component = {
  name: "Management",
  protocol: "LSP",
  version: 1,
  syntax: CepSyntax.GPB,
  addressed: true,
};
/** Data transfer of a unicast IPCP. */
export const UNICAST_DT: Component = {
  name: "Data Transfer",
  protocol: "dtp",
  version: 1,
  syntax: CepSyntax.FIXED,
  addressed: true,
};
/**
 * Data transfer of a broadcast IPCP: bare packets, so there is no protocol to name. A prototype sends address 0 and does
 * not look at ours (spec 50 §14); two of our own know each other by theirs, and put a header before their packets.
 */
export const BROADCAST_DT: Component = {
  name: "Data Transfer",
  protocol: "",
  version: 0,
  syntax: CepSyntax.GPB,
  addressed: true,
  anonymous: true,
};

/** What a node says first, or answers with; `address` is its own, 0 for components without addresses. */
export function presentation(component: Component, address: number): Uint8Array {
  return encodeCepMsg({
    compName: component.name,
    protocol: component.protocol,
    prefVersion: component.version,
    prefSyntax: component.syntax,
    address: BigInt(component.addressed ? address : 0),
  });
}

/** What a refused node gets. */
export const REFUSAL: Uint8Array = encodeCepMsg({
  compName: "",
  protocol: "",
  prefVersion: 0,
  prefSyntax: 0,
  address: 0n,
});

/** The node at the other end. */
export interface Peer {
  /** Its address in the layer; 0 for components without. */
  readonly address: number;
}

function fail(cause: string, code: number = -Errno.EPERM): Failure {
  return { code, stage: "connection establishment", cause };
}

function read(bytes: Uint8Array): CepMsg | Failure {
  if (bytes.length > CEP_BYTES_MAX) return fail(`a message of ${bytes.length} bytes`);
  const m = decodeCepMsg(bytes);
  return isWireError(m) ? fail(`not a message of this protocol (${m})`) : m;
}

/** Whether both speak the same, and the addresses are of two nodes. */
function agree(own: Component, ownAddress: number, m: CepMsg): Peer | Failure {
  if (m.compName !== own.name) {
    return fail(
      m.compName === "" ? `it has no component "${own.name}"` : `it presents "${m.compName}"`,
    );
  }
  if (m.protocol !== own.protocol) {
    return fail(`unknown protocol (requested "${own.protocol}", got "${m.protocol}")`);
  }
  if (m.prefVersion !== own.version) return fail(`unknown protocol version ${m.prefVersion}`);
  if (m.prefSyntax !== own.syntax) return fail(`unknown protocol syntax ${m.prefSyntax}`);
  if (!own.addressed || (own.anonymous === true && m.address === 0n)) return { address: 0 };
  if (m.address <= 0n || m.address > 0xffffffffn) return fail(`its address is ${m.address}`);
  const address = Number(m.address);
  if (address === ownAddress) {
    return fail("it has our own address (one of the two must be enrolled again)", -Errno.EEXIST);
  }
  return { address };
}

/** What the answer of the other side says to who presented `own`. */
export function checkAnswer(
  own: Component,
  ownAddress: number,
  bytes: Uint8Array,
): Peer | Failure {
  const m = read(bytes);
  return "code" in m ? m : agree(own, ownAddress, m);
}

/** How a node answers who presents itself: the component that it wants, or why not; nothing is said to garbage. */
export type Answer =
  | { readonly kind: "agreed"; readonly component: Component; readonly peer: Peer }
  | { readonly kind: "refused"; readonly failure: Failure; readonly tell: boolean };

/** What a presentation asks of a node with these components. */
export function judge(
  components: Iterable<Component>,
  ownAddress: number,
  bytes: Uint8Array,
): Answer {
  const m = read(bytes);
  if ("code" in m) return { kind: "refused", failure: m, tell: false };
  for (const component of components) {
    if (component.name !== m.compName) continue;
    const peer = agree(component, ownAddress, m);
    return "code" in peer
      ? { kind: "refused", failure: peer, tell: true }
      : { kind: "agreed", component, peer };
  }
  const failure = fail(`connection request for unknown component "${m.compName}"`);
  return { kind: "refused", failure, tell: true };
}

/**
 * The farewell between our own nodes: over a Management flow, that the sender has closed its flow of `component` to
 * this neighbour. A prototype ignores it, since there only messages of 24 bytes count (spec 60 §11.1).
 */
export function farewell(component: Component, address: number): Uint8Array {
  return encodeCepMsg({
    compName: component.name,
    protocol: "",
    prefVersion: 0,
    prefSyntax: 0,
    address: BigInt(address),
  });
}

/** The name of the component that a farewell is about, or undefined if it is none of `address`. */
export function farewellOf(bytes: Uint8Array, address: number): string | undefined {
  const m = read(bytes);
  if ("code" in m || m.protocol !== "" || m.compName === "") return undefined;
  return m.address === BigInt(address) ? m.compName : undefined;
}
