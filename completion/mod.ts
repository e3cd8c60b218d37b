/** Shell completion: `ouro completion bash|zsh|fish` prints a script for that shell. */

import { bashScript, zshScript } from "./bash.ts";
import { fishScript } from "./fish.ts";

/** The script for a shell; undefined for a shell there is none for. */
export function completionScript(shell: string | undefined): string | undefined {
  switch (shell) {
    case "bash":
      return bashScript();
    case "zsh":
      return zshScript();
    case "fish":
      return fishScript();
  }
  return undefined;
}
