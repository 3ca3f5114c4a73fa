// The token of a delivery: it grows each time a message is handed out, whoever leads. Written next to an effect elsewhere
// (a row, an object store), it keeps a former holder of the message from overwriting what a later one wrote.

export class DeliveryToken {
  readonly layoutEpoch: number;
  readonly leaderEpoch: number;
  readonly deliveryNumber: number;

  constructor(layoutEpoch: number, leaderEpoch: number, deliveryNumber: number) {
    this.layoutEpoch = layoutEpoch;
    this.leaderEpoch = leaderEpoch;
    this.deliveryNumber = deliveryNumber;
  }

  /** Of the same message: negative when this one was handed out before the other, 0 when they are the same. */
  compare(other: DeliveryToken): number {
    return (
      this.layoutEpoch - other.layoutEpoch ||
      this.leaderEpoch - other.leaderEpoch ||
      this.deliveryNumber - other.deliveryNumber
    );
  }

  isNewerThan(other: DeliveryToken): boolean {
    return this.compare(other) > 0;
  }

  /** Of fixed width, so that tokens are ordered like their texts: fit for a conditional write. */
  toString(): string {
    return [this.layoutEpoch, this.leaderEpoch, this.deliveryNumber]
      .map((part) => part.toString(16).padStart(14, "0"))
      .join("-");
  }

  /** @throws TypeError for what toString() never gives */
  static parse(text: string): DeliveryToken {
    const [layout, leader, number] = text.split("-").map((part) => Number.parseInt(part, 16));
    const token = new DeliveryToken(layout ?? 0, leader ?? 0, number ?? 0);
    if (token.toString() !== text) throw new TypeError(`no delivery token: ${text}`);
    return token;
  }
}
