// Asking before something is done that can not be undone.
import type { Context } from "./context.ts";
import { EXIT } from "./exit-codes.ts";
import { CliError } from "./failure.ts";

export interface Loss {
  /** What is about to happen, a sentence without full stop. */
  readonly what: string;
  /** What has to be typed. */
  readonly name: string;
  /** The command that does not ask. */
  readonly command: string;
}

/** @throws CliError when nobody can be asked, or the answer is no */
export async function confirm(context: Context, isAccepted: boolean, loss: Loss): Promise<void> {
  if (isAccepted) return;
  const { terminal } = context;
  if (!terminal.isInteractive) {
    throw new CliError(EXIT.USAGE, loss.what, `if that is meant: ${loss.command}`);
  }
  terminal.note(loss.what);
  const answer = await terminal.ask(`Type ${loss.name} to accept this: `);
  if (answer !== loss.name) throw new CliError(EXIT.FAILED, "nothing was changed");
}
