// The tree of an expression. Data only; built by sql-parser.ts, given a meaning by sql-evaluate.ts.

export type Comparison = "=" | "<>" | "<" | "<=" | ">" | ">=";
export type Arithmetic = "+" | "-" | "*" | "/" | "%";
export type Literal = string | number | boolean;
export type SystemProperty = "topic" | "partition" | "offset" | "timestamp" | "size" | "key";

export type Expression =
  | { readonly kind: "literal"; readonly value: Literal }
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "system"; readonly property: SystemProperty }
  | { readonly kind: "not"; readonly operand: Expression }
  | { readonly kind: "negate"; readonly operand: Expression }
  | { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | {
      readonly kind: "compare";
      readonly operator: Comparison;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: "arithmetic";
      readonly operator: Arithmetic;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: "between";
      readonly operand: Expression;
      readonly low: Expression;
      readonly high: Expression;
    }
  | { readonly kind: "in"; readonly operand: Expression; readonly values: readonly Literal[] }
  | {
      readonly kind: "like";
      readonly operand: Expression;
      readonly test: (text: string) => boolean;
    }
  | { readonly kind: "is-null"; readonly operand: Expression };
