/** What `oping` says about itself. */

import { type Manual, NAME } from "../lib/cli/manual.ts";
import { optionsOf } from "../lib/cli/options.ts";
import { OPING_OPTIONS } from "./options.ts";
import { MORE, USAGE } from "./usage.ts";

export const MANUAL: Manual = {
  help: (words) => words.length === 0 ? USAGE + MORE : undefined,
  grammar: { operands: [NAME], more: true, options: optionsOf(OPING_OPTIONS) },
  exits: [
    ["0", "a reply came, or the run was stopped before any was due"],
    ["1", "no reply, or the flow could not be had or went down"],
    ["2", "with --strict-exit: an error"],
  ],
  seeAlso: ["operf", "irm", "ouro"],
};
