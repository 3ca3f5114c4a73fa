// Texts and places as small numbers, so that columns can hold them. Used by facts.ts.

/** Numbers texts from 0 in the order in which they come. */
export class Names {
  readonly #numbers = new Map<string, number>();
  readonly #texts: string[] = [];

  get size(): number {
    return this.#texts.length;
  }

  numberOf(text: string): number {
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.#texts.push(text) - 1;
      this.#numbers.set(text, number);
    }
    return number;
  }

  /** −1 when it never came. */
  find(text: string): number {
    return this.#numbers.get(text) ?? -1;
  }

  textOf(number: number): string {
    return this.#texts[number] ?? "?";
  }
}

/** A partition's names. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** Numbers topic partitions ("places") from 0. */
export class Places {
  readonly #byTopic = new Map<string, Map<number, number>>();
  readonly #places: Place[] = [];

  get size(): number {
    return this.#places.length;
  }

  numberOf(topic: string, partition: number): number {
    let numbers = this.#byTopic.get(topic);
    if (numbers === undefined) {
      numbers = new Map();
      this.#byTopic.set(topic, numbers);
    }
    let number = numbers.get(partition);
    if (number === undefined) {
      number = this.#places.push({ topic, partition }) - 1;
      numbers.set(partition, number);
    }
    return number;
  }

  placeOf(number: number): Place {
    return this.#places[number] ?? { topic: "?", partition: -1 };
  }

  /** "orders/0". */
  nameOf(number: number): string {
    const { topic, partition } = this.placeOf(number);
    return `${topic}/${partition}`;
  }
}
