// What an expression means (README: SQL subset). Three truth values: null is "unknown", and only true is a match. The tree
// is turned into closures once; evaluation visits each node at most once and cannot fail.
import { isTooLong, type MessageTest, type MessageView } from "./message-view.ts";
import type { Arithmetic, Comparison, Expression, Literal } from "./sql-syntax.ts";

type Value = Literal | null;
type Evaluate = (message: MessageView) => Value;

export function evaluatorOf(expression: Expression): MessageTest {
  const evaluate = compile(expression);
  return (message) => truth(evaluate(message)) === true;
}

function compile(expression: Expression): Evaluate {
  switch (expression.kind) {
    case "literal":
      return () => expression.value;
    case "header":
      return (message) => message.header(expression.name) ?? null;
    case "system":
      return systemProperty(expression.property);
    case "not":
      return not(compile(expression.operand));
    case "negate":
      return negate(compile(expression.operand));
    case "and":
      return and(compile(expression.left), compile(expression.right));
    case "or":
      return or(compile(expression.left), compile(expression.right));
    case "compare":
      return comparison(expression.operator, compile(expression.left), compile(expression.right));
    case "arithmetic":
      return arithmetic(expression.operator, compile(expression.left), compile(expression.right));
    case "between":
      return between(
        compile(expression.operand),
        compile(expression.low),
        compile(expression.high),
      );
    case "in":
      return isIn(compile(expression.operand), expression.values);
    case "like":
      return like(compile(expression.operand), expression.test);
    case "is-null":
      return isNull(compile(expression.operand));
  }
}

function systemProperty(property: (Expression & { kind: "system" })["property"]): Evaluate {
  switch (property) {
    case "topic":
      return (message) => message.topic;
    case "partition":
      return (message) => message.partition;
    case "offset":
      return (message) => message.offset;
    case "timestamp":
      return (message) => message.timestampMs;
    case "size":
      return (message) => message.size;
    case "key":
      return (message) => message.key ?? null;
  }
}

function not(operand: Evaluate): Evaluate {
  return (message) => {
    const value = truth(operand(message));
    return value === null ? null : !value;
  };
}

/** False wins over unknown. */
function and(left: Evaluate, right: Evaluate): Evaluate {
  return (message) => {
    const first = truth(left(message));
    if (first === false) return false;
    const second = truth(right(message));
    if (second === false) return false;
    return first === null || second === null ? null : true;
  };
}

/** True wins over unknown. */
function or(left: Evaluate, right: Evaluate): Evaluate {
  return (message) => {
    const first = truth(left(message));
    if (first === true) return true;
    const second = truth(right(message));
    if (second === true) return true;
    return first === null || second === null ? null : false;
  };
}

function comparison(operator: Comparison, left: Evaluate, right: Evaluate): Evaluate {
  return (message) => compared(operator, left(message), right(message));
}

function between(operand: Evaluate, low: Evaluate, high: Evaluate): Evaluate {
  return (message) => {
    const value = operand(message);
    const isAbove = compared(">=", value, low(message));
    const isBelow = compared("<=", value, high(message));
    if (isAbove === false || isBelow === false) return false;
    return isAbove === null || isBelow === null ? null : true;
  };
}

function isIn(operand: Evaluate, values: readonly Literal[]): Evaluate {
  return (message) => {
    const value = operand(message);
    let isUnknown = false;
    for (const one of values) {
      const isEqual = compared("=", value, one);
      if (isEqual === true) return true;
      isUnknown ||= isEqual === null;
    }
    return isUnknown ? null : false;
  };
}

function like(operand: Evaluate, test: (text: string) => boolean): Evaluate {
  return (message) => {
    const value = operand(message);
    return value === null || isUnseen(value) ? null : test(String(value));
  };
}

function isNull(operand: Evaluate): Evaluate {
  return (message) => operand(message) === null;
}

function negate(operand: Evaluate): Evaluate {
  return (message) => {
    const value = numberOf(operand(message));
    return value === null ? null : -value;
  };
}

function arithmetic(operator: Arithmetic, left: Evaluate, right: Evaluate): Evaluate {
  return (message) => {
    const first = numberOf(left(message));
    const second = numberOf(right(message));
    if (first === null || second === null) return null;
    const result = calculated(operator, first, second);
    // Division by zero, and what is too large for a number, is unknown.
    return Number.isFinite(result) ? result : null;
  };
}

function calculated(operator: Arithmetic, left: number, right: number): number {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return left / right;
    case "%":
      return left % right;
  }
}

function compared(operator: Comparison, left: Value, right: Value): boolean | null {
  if (left === null || right === null || isUnseen(left) || isUnseen(right)) return null;
  if (typeof left === "boolean" || typeof right === "boolean") {
    return comparedTruths(operator, truth(left), truth(right));
  }
  const areTexts = typeof left === "string" && typeof right === "string";
  // '1.10' is not '1.1': texts are equal or not as they are written.
  if (areTexts && (operator === "=" || operator === "<>")) return ordered(operator, left, right);
  const first = numberOf(left);
  const second = numberOf(right);
  if (first !== null && second !== null) return ordered(operator, first, second);
  // A number beside a text that is none is unknown.
  return areTexts ? ordered(operator, left, right) : null;
}

function isUnseen(value: Literal): boolean {
  return typeof value === "string" && isTooLong(value);
}

/** Truth values are equal or not; neither is larger. */
function comparedTruths(
  operator: Comparison,
  left: boolean | null,
  right: boolean | null,
): boolean | null {
  if (left === null || right === null) return null;
  if (operator === "=") return left === right;
  return operator === "<>" ? left !== right : null;
}

function ordered<T extends number | string>(operator: Comparison, left: T, right: T): boolean {
  switch (operator) {
    case "=":
      return left === right;
    case "<>":
      return left !== right;
    case "<":
      return left < right;
    case "<=":
      return left <= right;
    case ">":
      return left > right;
    case ">=":
      return left >= right;
  }
}

/** Headers are text: "true" and "false", in any case, count as truth values; everything else is unknown. */
function truth(value: Value): boolean | null {
  if (typeof value === "boolean") return value;
  if (typeof value !== "string" || value.length > 5) return null;
  const word = value.toLowerCase();
  if (word === "true") return true;
  return word === "false" ? false : null;
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
/** Longer texts are no numbers that anybody writes. */
const NUMBER_CHARACTERS_MAX = 64;

function numberOf(value: Value): number | null {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || value.length > NUMBER_CHARACTERS_MAX) return null;
  if (!DECIMAL.test(value)) return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}
