// How the rows of the metadata tables become bytes of the keyed store: JSON with the row's format
// version in front. Damage is found by the store's and the image's checksums; what is checked here
// is the version.
import { StorageError } from "../log/ports.ts";

/** Version of every metadata row written by this code. */
export const METADATA_ROW_VERSION = 1;

/** UTF-8 JSON `{ "v": 1, … }` of a plain row. */
export function encodeRow(row: object): Buffer {
  return Buffer.from(JSON.stringify({ v: METADATA_ROW_VERSION, ...row }), "utf8");
}

/**
 * The row without its version.
 * @throws StorageError "version" when a newer broker wrote it, "corrupt" when it is no row at all
 */
export function decodeRow<Row extends object>(key: string, bytes: Uint8Array): Row {
  let value: unknown;
  try {
    value = JSON.parse(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"),
    );
  } catch (error) {
    throw new StorageError("corrupt", key, "metadata row is not JSON", { cause: error });
  }
  if (typeof value !== "object" || value === null || !("v" in value)) {
    throw new StorageError("corrupt", key, "metadata row has no version");
  }
  const { v: version, ...row } = value;
  if (version !== METADATA_ROW_VERSION) {
    throw new StorageError("version", key, `metadata row has version ${String(version)}`);
  }
  return row as Row;
}
