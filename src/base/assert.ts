// Assertions guard invariants of our own code. A failing one means a programmer error: the process must stop
// (the quorum covers), so nothing may catch an AssertionFailure except the process's last handler.

/** Thrown by {@link assert}; never mapped to a client error, never retried. */
export class AssertionFailure extends Error {
  override readonly name = "AssertionFailure";
  readonly fields: Readonly<Record<string, unknown>>;
  constructor(message: string, fields: Readonly<Record<string, unknown>> = {}) {
    super(Object.keys(fields).length === 0 ? message : `${message} ${JSON.stringify(fields)}`);
    this.fields = fields;
  }
}

/** Throws {@link AssertionFailure} unless `condition` holds. `fields` are printed with the message. */
export function assert(
  condition: boolean,
  message: string,
  fields?: Readonly<Record<string, unknown>>,
): asserts condition {
  if (!condition) throw new AssertionFailure(message, fields);
}

/** Ends an exhaustive switch: does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionFailure("unreachable", { value });
}

/** The value, or an AssertionFailure when it is undefined or null. */
export function defined<T>(value: T | undefined | null, message: string): T {
  if (value === undefined || value === null) throw new AssertionFailure(message);
  return value;
}
