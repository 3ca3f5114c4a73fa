// What can be fuzzed: a decoder (or everything behind one) with inputs that it accepts, from which others are made.
import type * as fc from "fast-check";

export interface Subject {
  /** Also the name of its folder in the corpus. */
  readonly name: string;
  /** Inputs that are fine, to be damaged. */
  readonly seeds: readonly Buffer[];
  /** Makes checksums right again after damage, so that what stands behind them is reached too. */
  readonly repair?: (bytes: Buffer) => Buffer;
  /** Further inputs, made by somebody who knows their form. */
  readonly shapes?: fc.Arbitrary<Buffer>;
  /**
   * Lets the decoder have the bytes. Resolves when it accepted them or refused them in its own way.
   * @throws whatever else the decoder threw
   */
  readonly run: (bytes: Buffer) => void | Promise<void>;
  /** The subject costs more: fewer runs, as a part of what was asked for. */
  readonly cost?: number;
  readonly close?: () => Promise<void>;
}

/** Runs a decoder; errors of its own kind are an answer. */
export function refusing(isOwn: (error: unknown) => boolean, decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    if (!isOwn(error)) throw error;
  }
}

export async function refusingLater(
  isOwn: (error: unknown) => boolean,
  decode: () => Promise<unknown>,
): Promise<void> {
  try {
    await decode();
  } catch (error) {
    if (!isOwn(error)) throw error;
  }
}
