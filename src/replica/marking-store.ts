// A keyed store that leaves its mark (storage-failure.ts) when it fails, whoever used it: what it holds from then on may lack
// something, so the next start empties it. A full disk is no exception: it may have been the sync of earlier batches that
// found no room. Damaged rows are no such failure. Put around the real store by the broker; everything passes through.
import { type Disk, type KeyedStore, type KeyedWrite, StorageError } from "../log/ports.ts";
import { markKeyedFailed } from "./storage-failure.ts";

export class MarkingStore implements KeyedStore {
  readonly #store: KeyedStore;
  readonly #disk: Disk;
  #isClosed = false;

  constructor(store: KeyedStore, disk: Disk) {
    this.#store = store;
    this.#disk = disk;
  }

  async batch(writes: readonly KeyedWrite[], options: { readonly sync: boolean }): Promise<void> {
    try {
      await this.#store.batch(writes, options);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  async get(key: string): Promise<Buffer | undefined> {
    try {
      return await this.#store.get(key);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  range(prefix: string): AsyncIterable<readonly [string, Buffer]> {
    return this.#values(this.#store.range(prefix));
  }

  async removeRange(prefix: string): Promise<void> {
    try {
      await this.#store.removeRange(prefix);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  async close(): Promise<void> {
    try {
      await this.#store.close();
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#isClosed = true;
    }
  }

  async *#values(
    values: AsyncIterable<readonly [string, Buffer]>,
  ): AsyncGenerator<readonly [string, Buffer]> {
    try {
      yield* values;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #failed(error: unknown): unknown {
    const isRow = error instanceof StorageError && error.kind === "corrupt";
    if (!isRow && !this.#isClosed) markKeyedFailed(this.#disk);
    return error;
  }
}
