import { afterEach, expect, test } from "vitest";
import { GetMetadataRequest, GetMetadataResponse } from "../../src/rpc/generated/flotilla-v1.ts";
import { metadataService } from "../../src/rpc/methods.ts";
import { type Loopback, openLoopback } from "./loopback.ts";

/** As in stream-queue: calls that begin in one turn of the event loop. */
const PER_TURN = 32;
const CALLS = 200;

let loopback: Loopback | undefined;
let isOver = false;
afterEach(async () => {
  isOver = true;
  await loopback?.close();
});

test("turns: of what one connection asks for at once only some calls begin in each, and all are answered", async () => {
  let turn = 0;
  const count = (): void => {
    turn += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const begun: number[] = [];
  loopback = await openLoopback((registry) => {
    registry.unary(metadataService.getMetadata, () => {
      begun.push(turn);
      return Promise.resolve(GetMetadataResponse.create());
    });
  });
  const connection = loopback.connect();
  const ask = (): Promise<unknown> =>
    connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), { timeoutMs: 5000 });
  await ask();
  begun.length = 0;
  await Promise.all(Array.from({ length: CALLS }, ask));
  expect(begun).toHaveLength(CALLS);
  const perTurn = new Map<number, number>();
  for (const one of begun) perTurn.set(one, (perTurn.get(one) ?? 0) + 1);
  // Those that began in the turn before are among them when their requests came behind their headers.
  expect(Math.max(...perTurn.values())).toBeLessThanOrEqual(2 * PER_TURN);
});
