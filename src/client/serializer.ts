// How values become bytes and bytes become values: a small interface that typed producers and consumers share.

/** Both directions of one format. Neither may change what it is given. */
export interface Serializer<T> {
  /** @returns undefined: a tombstone */
  serialize(data: T): Uint8Array | string | undefined;
  /** @param bytes a view of the received message; undefined: a tombstone @throws anything: the message then counts as failed */
  deserialize(bytes: Buffer | undefined): T;
}

/** The bytes themselves; undefined for a tombstone. Consumers get views: copy what is kept for long. */
export const bytes: Serializer<Buffer | undefined> = {
  serialize: (data) => data,
  deserialize: (data) => data,
};

/** UTF-8. A tombstone reads as "". */
export const text: Serializer<string> = {
  serialize: (data) => data,
  deserialize: (data) => data?.toString("utf8") ?? "",
};

/**
 * JSON. A tombstone reads as undefined, and undefined is written as one.
 * @param check turns what was parsed into a T, or throws; default: it is believed
 */
export function json<T = unknown>(check?: (parsed: unknown) => T): Serializer<T | undefined> {
  return {
    serialize: (data) => (data === undefined ? undefined : JSON.stringify(data)),
    deserialize(data) {
      if (data === undefined) return undefined;
      const parsed: unknown = JSON.parse(data.toString("utf8"));
      // What the caller declared without giving a check is the caller's word.
      return check === undefined ? (parsed as T) : check(parsed);
    },
  };
}
