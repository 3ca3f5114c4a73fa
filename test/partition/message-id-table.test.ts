import { expect, test } from "vitest";
import type { KeyedWrite } from "../../src/log/ports.ts";
import {
  decodeMessageIds,
  encodeMessageIds,
  MessageIdTable,
} from "../../src/partition/message-id-table.ts";
import { applyWrites } from "./fake-replica.ts";

test("message id section: encodes and decodes (none, ASCII, other alphabets)", () => {
  const ids = ["", "order-1", "заказ", ""];
  const bytes = encodeMessageIds(ids);
  expect(decodeMessageIds(bytes)).toEqual(ids);
  expect(encodeMessageIds(["", "ab"]).toString("hex")).toBe("000000026162");
});

test("message id table: finds offsets and forgets whole entries, oldest first", () => {
  const table = new MessageIdTable(4);
  const stored = new Map<string, Uint8Array>();
  const put = (index: number, baseOffset: number, ids: string[]): void => {
    const writes: KeyedWrite[] = [];
    table.record({ index, term: 2, baseOffset }, encodeMessageIds(ids), writes);
    applyWrites(stored, writes);
  };
  put(5, 10, ["a", "", "b"]);
  put(6, 13, ["c"]);
  put(9, 20, ["d"]);
  expect(table.get("b")).toEqual({ offset: 12, term: 2, index: 5 });
  expect(table.get("c")).toEqual({ offset: 13, term: 2, index: 6 });
  expect(table.get("")).toBeUndefined();
  put(11, 30, ["e"]);
  expect(table.get("a")).toBeUndefined();
  expect(table.get("b")).toBeUndefined();
  expect(table.size).toBe(3);
  const copy = new MessageIdTable(4);
  copy.restore(stored);
  for (const id of ["c", "d", "e"]) expect(copy.get(id)).toEqual(table.get(id));
  expect(new Map(copy.pairs())).toEqual(stored);
});

test("message id table: an id stored again keeps its newest place", () => {
  const table = new MessageIdTable(2);
  table.record({ index: 1, term: 1, baseOffset: 0 }, encodeMessageIds(["a"]), []);
  table.record({ index: 2, term: 1, baseOffset: 5 }, encodeMessageIds(["a"]), []);
  table.record({ index: 3, term: 1, baseOffset: 9 }, encodeMessageIds(["b"]), []);
  expect(table.get("a")).toEqual({ offset: 5, term: 1, index: 2 });
});
