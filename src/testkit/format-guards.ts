// What the fields of saved events are checked with. Used by history-format.ts and delivery-format.ts.

export type Guard = (value: unknown) => boolean;
/** One guard for each field of an event. */
export type Shape<E> = { readonly [Field in Exclude<keyof E, "type">]-?: Guard };

export const text: Guard = (value) => typeof value === "string";
export const flag: Guard = (value) => typeof value === "boolean";
export const number: Guard = (value) => typeof value === "number";
export const whole: Guard = (value) => Number.isSafeInteger(value);

export function optional(guard: Guard): Guard {
  return (value) => value === undefined || guard(value);
}
export function oneOf(...texts: readonly string[]): Guard {
  return (value) => typeof value === "string" && texts.includes(value);
}
export function listOf(guard: Guard): Guard {
  return (value) => Array.isArray(value) && value.every((item) => guard(item));
}
export function shaped(shape: Readonly<Record<string, Guard>>): Guard {
  const guards = Object.entries(shape);
  return (value) => isObject(value) && guards.every(([field, guard]) => guard(value[field]));
}
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
