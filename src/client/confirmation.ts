// The promise of a settlement, made only when somebody asks for it: most acknowledgements are not awaited, and a promise
// that nobody looks at must neither cost memory nor end the process when it rejects.

/** Where the promise comes from. */
export interface ConfirmationSource {
  confirmation(offset: number): Promise<void>;
}

export class Confirmation implements Promise<void> {
  readonly [Symbol.toStringTag]: string = "Confirmation";
  readonly #source: ConfirmationSource;
  readonly #offset: number;

  constructor(source: ConfirmationSource, offset: number) {
    this.#source = source;
    this.#offset = offset;
  }

  // biome-ignore lint/suspicious/noThenProperty: it is awaited like a promise.
  then<Done = void, Failed = never>(
    // biome-ignore lint/suspicious/noConfusingVoidType: as Promise says.
    onDone?: ((value: void) => Done | PromiseLike<Done>) | null,
    onFailed?: ((reason: unknown) => Failed | PromiseLike<Failed>) | null,
  ): Promise<Done | Failed> {
    return this.#source.confirmation(this.#offset).then(onDone, onFailed);
  }

  catch<Failed = never>(
    onFailed?: ((reason: unknown) => Failed | PromiseLike<Failed>) | null,
    // biome-ignore lint/suspicious/noConfusingVoidType: as Promise says.
  ): Promise<void | Failed> {
    return this.#source.confirmation(this.#offset).catch(onFailed);
  }

  finally(onFinally?: (() => void) | null): Promise<void> {
    return this.#source.confirmation(this.#offset).finally(onFinally);
  }
}
