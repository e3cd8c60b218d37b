/**
 * Every run of a bounded world (`oap_world.ts`) for each pair of settings of client and server: what an attacker who
 * holds the network, and perhaps a stolen key, can make the two believe. Each property must hold where its line says
 * so, and must be broken by some run where the line says that it does not hold: docs/security.md has the same list.
 */

import { assert, assertEquals } from "@std/assert";
import { cipherRank } from "../../lib/wire/oap_ids.ts";
import type { OapAccepted, OapCompleted } from "../../security/oap/types.ts";
import {
  type Change,
  changed,
  Client,
  hashOf,
  ownerOf,
  Server,
  type SideSettings,
  type Who,
} from "./oap_world.ts";

interface World {
  readonly client: SideSettings & { readonly auth: boolean; readonly kex: boolean };
  readonly server: SideSettings & { readonly auth: boolean; readonly binding: boolean };
  readonly stolen: Who | undefined;
}

interface Run {
  readonly world: World;
  readonly request: Uint8Array;
  /** What `srv` or `other` took. */
  readonly accepted: { who: "srv" | "other"; request: Uint8Array; result: OapAccepted } | undefined;
  readonly response: Uint8Array | undefined;
  readonly completed: OapCompleted | undefined;
  /** Acceptances of one and the same message, delivered twice. */
  readonly twice: number;
}

const BOTH = [false, true] as const;
const OWN_CIPHER = 901;

function settings(cert: boolean, auth: boolean, kex: boolean, binding: boolean): SideSettings {
  const lines = [
    kex ? "kex = X25519\ncipher = aes-256-gcm" : "none",
    ...(auth ? ["require-auth = yes"] : []),
    ...(binding ? ["require-binding = yes"] : []),
  ];
  return { cert, conf: lines.join("\n") + "\n" };
}

function* worlds(): Generator<World> {
  for (const cert of BOTH) {
    for (const auth of BOTH) {
      for (const kex of BOTH) {
        const client = { ...settings(cert, auth, kex, false), auth, kex };
        for (const sCert of BOTH) {
          for (const sAuth of BOTH) {
            for (const sKex of BOTH) {
              for (const binding of BOTH) {
                const server = { ...settings(sCert, sAuth, sKex, binding), auth: sAuth, binding };
                yield { client, server, stolen: undefined };
                if (!cert || !auth || !sCert) continue;
                yield { client, server, stolen: "alice" };
                yield { client, server, stolen: "srv" };
              }
            }
          }
        }
      }
    }
  }
}

const AS_IS: Change = { kex: "keep", cipher: "keep", hash: "keep", sign: "keep" };

function signers(w: World): Change["sign"][] {
  return ["keep", "strip", "eve", ...(w.stolen === undefined ? [] : [w.stolen])];
}

function requestChanges(w: World): Change[] {
  return signers(w).flatMap((sign) => [
    { ...AS_IS, sign },
    { ...AS_IS, sign, kex: "eve" as const },
    { ...AS_IS, sign, kex: "none" as const },
    { ...AS_IS, sign, cipher: "weak" as const },
  ]);
}

function responseChanges(w: World): Change[] {
  return signers(w).flatMap((sign) => [
    { ...AS_IS, sign },
    { ...AS_IS, sign, hash: "right" as const },
    { ...AS_IS, sign, hash: "right" as const, kex: "eve" as const },
    { ...AS_IS, sign, hash: "right" as const, cipher: "weak" as const },
    { ...AS_IS, sign, hash: "right" as const, cipher: "strong" as const },
  ]);
}

async function run(
  world: World,
  who: "srv" | "other",
  onRequest: Change,
  onResponse: Change | "reflect" | "own",
): Promise<Run> {
  const client = await Client.start(world.client);
  const { request } = client.session;
  const delivered = changed(request, onRequest, 0, undefined);
  const server = new Server(who, world.server);
  let response = await server.serve(delivered);
  await server.serve(delivered);
  if (onResponse === "own") {
    // The attacker's own server, which has no certificate and takes anything.
    response = await new Server("srv", {
      cert: false,
      conf: world.client.conf.replace(/require.*/, ""),
    })
      .serve(request);
  } else if (onResponse === "reflect") response = request;
  else if (response !== undefined) {
    response = changed(response, onResponse, hashOf(request).length, request);
  }
  const completed = response && await client.complete(response);
  const [first] = server.accepted;
  const accepted = first && { who, ...first };
  return { world, request, accepted, response, completed, twice: server.accepted.length };
}

async function* runs(): AsyncGenerator<Run> {
  for (const w of worlds()) {
    for (const onRequest of requestChanges(w)) {
      for (const onResponse of responseChanges(w)) yield run(w, "srv", onRequest, onResponse);
    }
    yield run(w, "srv", AS_IS, "own");
    yield run(w, "srv", AS_IS, "reflect");
    for (const sign of signers(w)) yield run(w, "other", { ...AS_IS, sign }, AS_IS);
  }
}

interface Property {
  readonly name: string;
  /** Where it must hold; elsewhere some run breaks it. `undefined`: everywhere. */
  readonly holds?: (w: World) => boolean;
  /** Whether a run breaks it. */
  readonly broken: (r: Run) => boolean;
}

const same = (a: Uint8Array, b: Uint8Array) => a.toHex() === b.toHex();
const key = (x: { readonly key: Uint8Array | null } | undefined) => x?.key?.toHex();

const PROPERTIES: readonly Property[] = [
  {
    name: "a client that ends well had its answer from srv, to the request that it made",
    holds: (w) => w.client.auth && w.stolen !== "srv",
    broken: ({ completed, accepted, request, response }) =>
      completed !== undefined &&
      !(accepted?.who === "srv" && same(accepted.request, request) &&
        same(accepted.result.response, response!)),
  },
  {
    name: "the attacker does not know the client's key",
    holds: (w) => w.client.auth && w.stolen !== "srv",
    broken: ({ completed, response, request }) =>
      completed?.key != null && ownerOf(response!, hashOf(request).length) === "eve",
  },
  {
    name: "a client with a key exchange ends with a key, and no weaker cipher than its own",
    broken: ({ world, completed }) =>
      world.client.kex && completed !== undefined &&
      (completed.key === null || cipherRank(completed.cipherNid) < cipherRank(OWN_CIPHER)),
  },
  {
    name: "a server that demands it takes nobody who did not authenticate",
    broken: ({ world, accepted }) =>
      world.server.auth && accepted?.result.peer === undefined &&
      accepted !== undefined,
  },
  {
    name: "who is taken for alice is alice, with the request that she made",
    holds: (w) => w.stolen !== "alice",
    broken: ({ accepted, request }) =>
      accepted?.result.peer?.name === "alice" && !same(accepted.request, request),
  },
  {
    name: "the attacker does not know a key that a server shares with alice",
    holds: (w) => w.stolen !== "alice",
    broken: ({ accepted }) =>
      accepted?.result.peer?.name === "alice" && accepted.result.key !== null &&
      ownerOf(accepted.request, 0) === "eve",
  },
  {
    name: "a server takes alice only if she meant it",
    holds: (w) => w.server.binding,
    broken: ({ accepted }) => accepted?.who === "other" && accepted.result.peer?.name === "alice",
  },
  {
    name: "one request, one flow, one key",
    broken: ({ twice }) => twice > 1,
  },
  {
    name: "a key that alice holds is shared by nobody who is taken for another (unknown key share)",
    holds: (w) => w.client.auth && w.stolen !== "srv",
    broken: ({ completed, accepted }) =>
      key(completed) !== undefined && key(completed) === key(accepted?.result) &&
      accepted!.result.peer !== undefined && accepted!.result.peer.name !== "alice",
  },
  {
    name: "two ends with one key have one cipher",
    holds: (w) => w.client.auth && w.stolen !== "srv",
    broken: ({ completed, accepted }) =>
      key(completed) !== undefined && key(completed) === key(accepted?.result) &&
      completed!.cipherNid !== accepted!.result.cipherNid,
  },
  {
    name: "who alice takes for srv is srv, though her own key is stolen",
    holds: (w) => w.stolen !== "srv" && w.client.auth,
    broken: ({ world, completed, accepted }) =>
      (world.stolen === "alice" || world.stolen === "srv" || !world.client.auth) &&
      completed !== undefined && accepted?.who !== "srv",
  },
];

Deno.test("OAP: every run of the bounded world, for each pair of settings and each stolen key", async () => {
  const wrong = new Map<string, string>();
  const broken = new Set<string>();
  let all = 0;
  let good = 0;
  for await (const r of runs()) {
    all++;
    if (r.completed !== undefined && r.accepted !== undefined) good++;
    for (const p of PROPERTIES) {
      if (!p.broken(r)) continue;
      if (p.holds === undefined || p.holds(r.world)) wrong.set(p.name, JSON.stringify(r.world));
      else broken.add(p.name);
    }
  }
  assertEquals([...wrong], []);
  // Where a property is said not to hold, it does not.
  for (const p of PROPERTIES) {
    if (p.holds !== undefined) assert(broken.has(p.name), `always holds: ${p.name}`);
  }
  assert(all > 10_000 && good > 1000, `${all} runs, ${good} with a flow`);
});
