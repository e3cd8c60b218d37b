/** Small faults in a source text: operators turned, conditions negated, calls left out. Pure. */

import ts from "typescript";

/** One fault: the text between `start` and `end` is replaced. */
export interface Mutant {
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
  /** Line of the fault, from 1, and what it is, for people. */
  readonly line: number;
  readonly what: string;
}

const { SyntaxKind: K } = ts;

/** Operators and what they are taken for by mistake. */
const OPERATORS: ReadonlyMap<ts.SyntaxKind, string> = new Map([
  [K.LessThanToken, "<="],
  [K.LessThanEqualsToken, "<"],
  [K.GreaterThanToken, ">="],
  [K.GreaterThanEqualsToken, ">"],
  [K.EqualsEqualsEqualsToken, "!=="],
  [K.ExclamationEqualsEqualsToken, "==="],
  [K.MinusToken, "+"],
  [K.AsteriskToken, "+"],
  [K.AmpersandAmpersandToken, "||"],
  [K.BarBarToken, "&&"],
  [K.QuestionQuestionToken, "&&"],
  [K.LessThanLessThanToken, ">>>"],
  [K.GreaterThanGreaterThanGreaterThanToken, "<<"],
  [K.PlusEqualsToken, "-="],
  [K.MinusEqualsToken, "+="],
]);

/** All faults that a file can get, in the order of its text. Logging and messages are left alone. */
export function mutantsOf(source: string): Mutant[] {
  const file = ts.createSourceFile("x.ts", source, ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const add = (node: ts.Node, replacement: string, what: string) => {
    const start = node.getStart(file), end = node.getEnd();
    const line = file.getLineAndCharacterOfPosition(start).line + 1;
    found.push({ start, end, replacement, line, what });
  };
  const visit = (node: ts.Node): void => {
    // Types say nothing that runs; texts for people may be worded at will.
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isThrowStatement(node)) return;
    if (isTalk(node)) return;
    if (ts.isBinaryExpression(node)) {
      const other = OPERATORS.get(node.operatorToken.kind);
      if (other !== undefined) {
        add(node.operatorToken, other, `${node.operatorToken.getText(file)} → ${other}`);
      }
    } else if (ts.isPrefixUnaryExpression(node) && node.operator === K.ExclamationToken) {
      add(node, `(${node.operand.getText(file)})`, "! left out");
    } else if (node.kind === K.TrueKeyword) {
      add(node, "false", "true → false");
    } else if (node.kind === K.FalseKeyword) {
      add(node, "true", "false → true");
    } else if (ts.isIfStatement(node)) {
      const text = node.expression.getText(file);
      add(node.expression, `!(${text})`, `if (${text}) negated`);
    } else if (ts.isExpressionStatement(node) && ts.isCallExpression(node.expression)) {
      const callee = node.expression.expression.getText(file);
      if (callee !== "super") add(node, "void 0;", `${callee}() left out`);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** Whether a node only tells people something. */
function isTalk(node: ts.Node): boolean {
  return ts.isExpressionStatement(node) &&
    /(^|[.#])(log|logger|warn|info|dbg|proto|error)\b[^=]*\(/i.test(
      node.getText().slice(0, 60).split("(")[0]! + "(",
    );
}

/** The text with the fault in it. */
export function withMutant(source: string, mutant: Mutant): string {
  return source.slice(0, mutant.start) + mutant.replacement + source.slice(mutant.end);
}
