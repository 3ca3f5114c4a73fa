// An event and its number in the history, from 0: what anomalies name as their proof.

export interface Numbered<E> {
  readonly event: E;
  readonly number: number;
}
