// Tokens → tree, by recursive descent with SQL's precedence: OR, AND, NOT, predicates, + -, * / %, signs, brackets.
import { FILTER_LIMITS, wrong } from "./filter-definition.ts";
import { compileLike } from "./like.ts";
import type { Arithmetic, Comparison, Expression, Literal, SystemProperty } from "./sql-syntax.ts";
import { FIELD, type Keyword, type Token, tokensOf } from "./sql-tokens.ts";

const COMPARISONS: readonly string[] = ["=", "<>", "<", "<=", ">", ">="];
const SYSTEM: readonly string[] = ["topic", "partition", "offset", "timestamp", "size", "key"];

/** @throws BrokerError INVALID_REQUEST with `field`, `limit` and `position` */
export function parseSql(expression: string): Expression {
  return new Parser(tokensOf(expression)).parse();
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Expression {
    const expression = this.#or();
    if (this.#token.kind !== "end") throw this.#unexpected("AND, OR or the end");
    return expression;
  }

  get #token(): Token {
    return this.#tokens[this.#next] ?? { kind: "end", at: 0 };
  }

  #or(): Expression {
    this.#enter();
    let left = this.#and();
    while (this.#takeKeyword("OR")) left = { kind: "or", left, right: this.#and() };
    this.#depth -= 1;
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#takeKeyword("AND")) left = { kind: "and", left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (!this.#takeKeyword("NOT")) return this.#predicate();
    this.#enter();
    const operand = this.#not();
    this.#depth -= 1;
    return { kind: "not", operand };
  }

  #predicate(): Expression {
    const operand = this.#sum();
    const operator = this.#takeSymbol(COMPARISONS);
    if (operator !== undefined) {
      return {
        kind: "compare",
        operator: operator as Comparison,
        left: operand,
        right: this.#sum(),
      };
    }
    if (this.#takeKeyword("IS")) {
      const isNot = this.#takeKeyword("NOT");
      this.#needKeyword("NULL");
      return negated({ kind: "is-null", operand }, isNot);
    }
    const isNot = this.#takeKeyword("NOT");
    if (this.#takeKeyword("BETWEEN")) return negated(this.#between(operand), isNot);
    if (this.#takeKeyword("IN"))
      return negated({ kind: "in", operand, values: this.#list() }, isNot);
    if (this.#takeKeyword("LIKE")) return negated(this.#like(operand), isNot);
    if (isNot) throw this.#unexpected("BETWEEN, IN or LIKE");
    return operand;
  }

  #between(operand: Expression): Expression {
    const low = this.#sum();
    this.#needKeyword("AND");
    return { kind: "between", operand, low, high: this.#sum() };
  }

  #list(): Literal[] {
    this.#needSymbol("(");
    const values = [this.#literal()];
    while (this.#takeSymbol([","]) !== undefined) values.push(this.#literal());
    this.#needSymbol(")");
    return values;
  }

  #like(operand: Expression): Expression {
    const { at } = this.#token;
    const pattern = this.#text("a pattern in single quotes");
    const escapeCharacter = this.#takeKeyword("ESCAPE")
      ? this.#text("one character in single quotes")
      : undefined;
    if (escapeCharacter !== undefined && [...escapeCharacter].length !== 1)
      throw wrong(FIELD, "ESCAPE takes one character", at);
    if (pattern.length > FILTER_LIMITS.entryCharacters) {
      throw wrong(FIELD, `a pattern has at most ${FILTER_LIMITS.entryCharacters} characters`, at);
    }
    const test = compileLike(pattern, escapeCharacter);
    if (test === undefined)
      throw wrong(FIELD, "the escape character stands before %, _ or itself", at);
    return { kind: "like", operand, test };
  }

  #sum(): Expression {
    let left = this.#product();
    for (
      let sign = this.#takeSymbol(["+", "-"]);
      sign !== undefined;
      sign = this.#takeSymbol(["+", "-"])
    ) {
      left = { kind: "arithmetic", operator: sign as Arithmetic, left, right: this.#product() };
    }
    return left;
  }

  #product(): Expression {
    const signs = ["*", "/", "%"];
    let left = this.#signed();
    for (let sign = this.#takeSymbol(signs); sign !== undefined; sign = this.#takeSymbol(signs)) {
      left = { kind: "arithmetic", operator: sign as Arithmetic, left, right: this.#signed() };
    }
    return left;
  }

  #signed(): Expression {
    const sign = this.#takeSymbol(["+", "-"]);
    if (sign === undefined) return this.#primary();
    this.#enter();
    const operand = this.#signed();
    this.#depth -= 1;
    return sign === "+" ? operand : { kind: "negate", operand };
  }

  #primary(): Expression {
    const token = this.#token;
    if (this.#takeSymbol(["("]) !== undefined) {
      const inner = this.#or();
      this.#needSymbol(")");
      return inner;
    }
    if (token.kind === "name") {
      this.#next += 1;
      return { kind: "header", name: token.text };
    }
    if (token.kind === "system") return this.#system(token.text);
    return { kind: "literal", value: this.#literal() };
  }

  #system(name: string): Expression {
    if (!SYSTEM.includes(name)) throw this.#unexpected(SYSTEM.map((one) => `$${one}`).join(", "));
    this.#next += 1;
    return { kind: "system", property: name as SystemProperty };
  }

  #literal(): Literal {
    const sign = this.#takeSymbol(["+", "-"]);
    const token = this.#token;
    this.#next += 1;
    if (token.kind === "number") return sign === "-" ? -token.value : token.value;
    if (sign === undefined && token.kind === "text") return token.text;
    if (sign === undefined && token.kind === "keyword") {
      if (token.keyword === "TRUE") return true;
      if (token.keyword === "FALSE") return false;
    }
    this.#next -= 1;
    const wanted = "a name, a number or a text in single quotes";
    throw this.#unexpected(sign === undefined ? wanted : "a number");
  }

  #text(wanted: string): string {
    const token = this.#token;
    if (token.kind !== "text") throw this.#unexpected(wanted);
    this.#next += 1;
    return token.text;
  }

  #takeKeyword(keyword: Keyword): boolean {
    const token = this.#token;
    if (token.kind !== "keyword" || token.keyword !== keyword) return false;
    this.#next += 1;
    return true;
  }

  #needKeyword(keyword: Keyword): void {
    if (!this.#takeKeyword(keyword)) throw this.#unexpected(keyword);
  }

  #takeSymbol(symbols: readonly string[]): string | undefined {
    const token = this.#token;
    if (token.kind !== "symbol" || !symbols.includes(token.text)) return undefined;
    this.#next += 1;
    return token.text;
  }

  #needSymbol(symbol: string): void {
    if (this.#takeSymbol([symbol]) === undefined) throw this.#unexpected(`"${symbol}"`);
  }

  #enter(): void {
    this.#depth += 1;
    if (this.#depth > FILTER_LIMITS.sqlDepth) {
      throw wrong(FIELD, `at most ${FILTER_LIMITS.sqlDepth} levels`, this.#token.at);
    }
  }

  #unexpected(wanted: string): Error {
    return wrong(FIELD, `expected ${wanted}`, this.#token.at);
  }
}

function negated(operand: Expression, isNot: boolean): Expression {
  return isNot ? { kind: "not", operand } : operand;
}
