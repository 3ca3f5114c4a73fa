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
  readonly #numbers = new Map<string, number>();
  readonly #index: OffsetIndex[] = [];

  get length(): number {
    return this.lane.length;
  }

  laneOf(subscription: number, place: number): number {
    const name = `${subscription}|${place}`;
    let lane = this.#numbers.get(name);
    if (lane === undefined) {
      lane = this.lanes.push({ subscription, place }) - 1;
      this.#index.push(new OffsetIndex());
      this.#numbers.set(name, lane);
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
