/**
 * Makes the text of a policy safe against loops without end: each turn of a loop and each call of a function counts, and
 * what counts too far is stopped by an exception. Pure.
 *
 * A policy runs in the threads that carry packets and commands, which nothing else could get out of such a loop. What is
 * added stays on its line, so that places in error messages are those of the file. It is a guard against mistakes of
 * those who may write the file, no sandbox.
 */

import { type Node, parse } from "acorn";
import { TURNS_EXPORT } from "./mod.ts";

/** Turns that the module itself may take when it is made. */
const IMPORT_TURNS = 5_000_000;
const LEFT = "ouroLeft$";
const STOP = "ouroStop$";

/**
 * Globals that a policy does not have: with them it could do something later or elsewhere, where nobody looks after it.
 * It is given the time, chance and messages.
 */
const HIDDEN = [
  ..."Deno process Worker fetch WebSocket Promise queueMicrotask Atomics WebAssembly".split(" "),
  ..."globalThis self addEventListener".split(" "),
  ...["Timeout", "Interval", "Immediate"].map((when) => `set${when}`),
];

const PRELUDE = `const ${HIDDEN.map((name) => `${name}=undefined`).join(",")};` +
  `let ${LEFT}=${IMPORT_TURNS};export const ${TURNS_EXPORT}=(n)=>{${LEFT}=n};` +
  `const ${STOP}=()=>{throw new RangeError("it does not come to an end")};`;
const COUNT = `if(--${LEFT}<0)${STOP}();`;

/** A text that is not a policy: why, with its line. */
export interface BadText {
  readonly bad: string;
}

// deno-lint-ignore no-explicit-any -- a syntax tree has members of every kind
type Tree = Node & Record<string, any>;

const LOOPS = new Set([
  "ForStatement",
  "ForInStatement",
  "ForOfStatement",
  "WhileStatement",
  "DoWhileStatement",
]);
const FUNCTIONS = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);

/** The JavaScript `source`, counting; or why it cannot be used. */
export function countTurns(source: string): string | BadText {
  let tree: Tree;
  try {
    tree = parse(source, { ecmaVersion: "latest", sourceType: "module", locations: true }) as Tree;
  } catch (e) {
    return { bad: e instanceof Error ? e.message : String(e) };
  }
  const added: { at: number; text: string }[] = [];
  let bad: string | undefined;
  const around = (body: Tree) => {
    if (body.type === "BlockStatement") added.push({ at: body.start + 1, text: COUNT });
    else added.push({ at: body.start, text: `{${COUNT}` }, { at: body.end, text: "}" });
  };
  const refuse = (node: Tree, why: string) => bad ??= `${why} (line ${node.loc!.start.line})`;
  const visit = (node: Tree) => {
    if (node.async === true || node.type === "AwaitExpression" || node.await === true) {
      refuse(node, "a policy does not wait: no async and await");
    } else if (
      node.type === "ImportDeclaration" || node.type === "ImportExpression" ||
      ((node.type === "ExportNamedDeclaration" || node.type === "ExportAllDeclaration") &&
        node.source != null)
    ) {
      refuse(node, "a policy is one file: no import but of types");
    } else if (LOOPS.has(node.type)) around(node.body);
    else if (FUNCTIONS.has(node.type)) {
      const { body } = node;
      if (body.type === "BlockStatement") added.push({ at: body.start + 1, text: COUNT });
      else {
        added.push({ at: body.start, text: `(--${LEFT}<0&&${STOP}(),` }, {
          at: body.end,
          text: ")",
        });
      }
    }
    for (const key of Object.keys(node)) {
      const child = node[key];
      if (Array.isArray(child)) {
        for (const each of child) if (isNode(each)) visit(each);
      } else if (isNode(child)) visit(child);
    }
  };
  try {
    visit(tree);
  } catch (e) {
    return { bad: e instanceof Error ? e.message : String(e) }; // Nested deeper than the stack.
  }
  if (bad !== undefined) return { bad };
  // What is added at one place keeps the order in which it was found: outer before inner at a start, and at an end the
  // texts are alike but for nesting, where the inner one closes first.
  const starts = added.map((a, order) => ({
    ...a,
    order,
    closes: a.text === "}" || a.text === ")",
  }));
  starts.sort((a, b) =>
    a.at - b.at || Number(b.closes) - Number(a.closes) ||
    (a.closes ? b.order - a.order : a.order - b.order)
  );
  let out = PRELUDE;
  let at = 0;
  for (const { at: to, text } of starts) {
    out += source.slice(at, to) + text;
    at = to;
  }
  return out + source.slice(at);
}

function isNode(x: unknown): x is Tree {
  return typeof x === "object" && x !== null && typeof (x as Tree).type === "string";
}
