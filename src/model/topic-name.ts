// Topic names: what is allowed, and why one is not. Names may have namespaces: "shop/eu/orders".
import { BrokerError } from "./errors.ts";
import { TOPIC_NAME_CHARACTERS_MAX } from "./limits.ts";

const SEGMENT = /^[A-Za-z0-9._-]+$/;
/** Topics of the product's own begin with this; clients can not create them. */
export const RESERVED_TOPIC_PREFIX = "__";

/** What is wrong with a name, in words; undefined when it may be used. */
export function topicNameProblem(name: string): string | undefined {
  if (name.length === 0) return "must not be empty";
  if (name.length > TOPIC_NAME_CHARACTERS_MAX) {
    return `must not be longer than ${TOPIC_NAME_CHARACTERS_MAX} characters`;
  }
  if (name.startsWith(RESERVED_TOPIC_PREFIX))
    return `must not begin with "${RESERVED_TOPIC_PREFIX}"`;
  for (const segment of name.split("/")) {
    if (segment === "") return 'must not have an empty part before, between or after "/"';
    if (segment === "." || segment === "..") return 'must not have "." or ".." as a part';
    if (!SEGMENT.test(segment)) return 'may hold letters, digits, ".", "_", "-" and "/" only';
  }
  return undefined;
}

/** @throws BrokerError INVALID_REQUEST with `field` and `limit` */
export function checkTopicName(name: string, field = "name"): void {
  const problem = topicNameProblem(name);
  if (problem === undefined) return;
  throw new BrokerError("INVALID_REQUEST", `topic name "${name.slice(0, 80)}" ${problem}`, {
    field,
    limit: problem,
  });
}
