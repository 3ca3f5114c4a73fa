// Every message that a subscription was seen to have anything to do with, as a row. A "lane" is one subscription in one
// partition. Filled by delivery-facts.ts, read by the checks.
import { Column } from "./column.ts";
import { OffsetIndex } from "./offset-index.ts";
import { NONE } from "./send-table.ts";

export interface DeliveryLane {
  readonly subscription: number;
  readonly place: number;
}

export class MessageTable {
  readonly lanes: DeliveryLane[] = [];
  readonly lane: Column = Column.small();
  readonly offset: Column = Column.numbers();
  /** Row of its newest delivery, in the order of the history; the others hang on that. */
  readonly newest: Column = Column.small();
  /** By subscription: place → lane. */
  readonly #numbers = new Map<number, Map<number, number>>();
  readonly #index: OffsetIndex[] = [];

  get length(): number {
    return this.lane.length;
  }

  laneOf(subscription: number, place: number): number {
    let numbers = this.#numbers.get(subscription);
    if (numbers === undefined) {
      numbers = new Map();
      this.#numbers.set(subscription, numbers);
    }
    let lane = numbers.get(place);
    if (lane === undefined) {
      lane = this.lanes.push({ subscription, place }) - 1;
      this.#index.push(new OffsetIndex());
      numbers.set(place, lane);
    }
    return lane;
  }

  rowOf(lane: number, offset: number): number {
    const known = this.find(lane, offset);
    if (known !== NONE) return known;
    const row = this.length;
    this.lane.push(lane);
    this.offset.push(offset);
    this.newest.push(NONE);
    this.#index[lane]?.set(offset, row);
    return row;
  }

  find(lane: number, offset: number): number {
    return this.#index[lane]?.at(offset) ?? NONE;
  }

  subscriptionOf(row: number): number {
    return this.lanes[this.lane.at(row)]?.subscription ?? NONE;
  }

  placeOf(row: number): number {
    return this.lanes[this.lane.at(row)]?.place ?? NONE;
  }
}
