// The proof of a power cut must be able to fail: a disk that kept everything, one that is empty, one that lost the end of a file.
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { lossSince, type Seen, writeMark } from "./unsynced.ts";

let directory: string;
let seen: Seen;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-unsynced-"));
  mkdirSync(join(directory, "data"));
  writeFileSync(join(directory, "data", "log"), Buffer.alloc(100));
  seen = writeMark(directory, "cut-1");
});
afterEach(() => rmSync(directory, { recursive: true }));

const mark = (): string => join(directory, "written-and-never-flushed");

it("no cut: everything is there", () => {
  expect(lossSince(directory, seen)).toEqual({ isMarkGone: false, bytesGone: 0 });
  appendFileSync(join(directory, "data", "log"), "more");
  expect(lossSince(directory, seen)).toEqual({ isMarkGone: false, bytesGone: 0 });
});

it("a cut: no mark, an empty one, the mark of an earlier cut", () => {
  truncateSync(mark(), 0);
  expect(lossSince(directory, seen).isMarkGone).toBe(true);
  writeMark(directory, "cut-0");
  expect(lossSince(directory, seen).isMarkGone).toBe(true);
  rmSync(mark());
  expect(lossSince(directory, seen)).toEqual({ isMarkGone: true, bytesGone: 0 });
});

it("bytes of brokers: files that are shorter, and files that are gone", () => {
  truncateSync(join(directory, "data", "log"), 60);
  expect(lossSince(directory, seen).bytesGone).toBe(40);
  rmSync(join(directory, "data"), { recursive: true });
  expect(lossSince(directory, seen).bytesGone).toBe(100);
});
