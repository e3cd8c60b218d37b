/** Starts `flow_peer.ts`, a small application that uses the flow library, against a node under test. */

import type { RunningProcess, RunOptions, TestNode } from "./node.ts";
import { script } from "./process.ts";

/** Its command line. */
export function peerArgv(...words: string[]): string[] {
  return script("tests/support/flow_peer.ts", ...words);
}

/** Starts it with these words. */
export function peer(node: TestNode, words: string[], options: RunOptions = {}): RunningProcess {
  return node.spawnArgv(peerArgv(...words), options);
}

/** Starts a server that runs as program `prog`, and waits until it is announced. */
export async function serverPeer(
  node: TestNode,
  prog: string,
  options: RunOptions = {},
): Promise<RunningProcess> {
  const p = peer(node, ["serve", prog], options);
  await p.waitForLine(/^ready/m);
  return p;
}
