// Opens the files of a group's log: looks at them, lets recovery-plan.ts decide, carries the plan out, and makes what is
// left durable. Called by openGroupLog only.
import { decodeFrame } from "../model/entry-frame.ts";
import type { GroupId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import { decodeIndexFile } from "./index-file.ts";
import { type DamagedRange, type Disk, type DiskFile, StorageError } from "./ports.ts";
import {
  isPromised,
  planRecovery,
  type RecoveryPlan,
  type SegmentDamage,
  type SegmentFinding,
} from "./recovery-plan.ts";
import { Segment } from "./segment.ts";
import { bridgeNewest, bridgeSegment, headerAfter } from "./segment-bridge.ts";
import { examineSegment } from "./segment-examine.ts";
import {
  damageMarkName,
  decodeSegmentHeader,
  encodeSegmentHeader,
  indexFileName,
  indexOfName,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
} from "./segment-format.ts";
import { SegmentIndex } from "./segment-index.ts";
import { type ScanResult, scanSegment } from "./segment-scan.ts";

export interface LogPlace {
  readonly disk: Disk;
  /** Of this group's log alone; made when it does not exist. */
  readonly directory: string;
  readonly groupId: GroupId;
  /** Spacing of the sparse index. */
  readonly indexBytes: number;
  readonly durableIndexHint: LogIndex;
  readonly pageCacheKept: boolean;
  /** Lets the event loop turn: awaited between pieces of long work. */
  readonly breathe: () => Promise<void>;
}

/** What a recovery had to do; for the log that people read. */
export interface RecoveryReport {
  readonly segmentsScanned: number;
  readonly segmentsRemoved: number;
  readonly bytesCut: number;
  readonly reason: string | undefined;
  /** Sealed segments with entries that can not be read. */
  readonly segmentsDamaged: number;
}

export interface RecoveredSegments {
  /** Oldest first, at least one; all durable. */
  readonly segments: Segment[];
  readonly report: RecoveryReport;
}

const TEMPORARY = "first.tmp";
/** Endings of the files of a log. */
const OURS = [".seg", ".idx", ".damaged", ".tmp"];

interface Found {
  readonly name: string;
  readonly file: DiskFile;
  readonly header: SegmentHeader | undefined;
  readonly problem: string | undefined;
  index?: SegmentIndex;
  finding?: SegmentFinding;
  hasIndexFile?: boolean;
  damage?: readonly DamagedRange[];
}

/** @throws StorageError "corrupt" | "version" | "io" */
export async function recoverSegments(place: LogPlace): Promise<RecoveredSegments> {
  await makeDirectoryDurably(place.disk, place.directory);
  const found = openAll(place);
  try {
    return await recover(place, found);
  } catch (error) {
    for (const { file } of found) file.close();
    throw error;
  }
}

/**
 * Makes a log that begins with an empty segment, durably and at once: the segment appears by a rename, so that its header
 * is never torn, and a higher generation than before makes all other segments void.
 */
export async function placeFirstSegment(place: LogPlace, header: SegmentHeader): Promise<Segment> {
  const { disk, directory } = place;
  const temporary = `${directory}/${TEMPORARY}`;
  if (disk.exists(temporary)) disk.remove(temporary);
  const file = disk.open(temporary, { create: true });
  try {
    file.append([encodeSegmentHeader(header)]);
    await file.sync();
  } finally {
    file.close();
  }
  disk.rename(temporary, `${directory}/${segmentName(header.firstIndex)}`);
  await disk.syncDirectory(directory);
  return new Segment(disk, directory, new SegmentIndex(header, place.indexBytes));
}

async function recover(place: LogPlace, found: readonly Found[]): Promise<RecoveredSegments> {
  const { disk, directory } = place;
  if (found.length === 0) {
    if (place.durableIndexHint > 0) throw new StorageError("corrupt", directory, "the log is gone");
    return { segments: [await beginLog(place)], report: NOTHING_FOUND };
  }
  const generation = Math.max(0, ...found.map(({ header }) => header?.generation ?? 0));
  // Left over when the machine stopped right after a reset; unreadable ones are judged by the plan.
  const isCurrent = (one: Found): boolean => (one.header?.generation ?? generation) === generation;
  const current = found.filter(isCurrent);
  const scanned = await inspect(place, current);
  const findings = current.map((one) => findingOf(one));
  const plan = planRecovery(findings, place);
  if (plan.kind === "corrupt") {
    throw new StorageError("corrupt", `${directory}/${plan.name}`, plan.detail);
  }
  const kept = current.slice(0, plan.keep);
  const segmentsRemoved = found.length - kept.length;
  for (const one of found) if (!kept.includes(one)) one.file.close();
  removeOthers(place, kept);
  const bytesCut = cutLast(disk, directory, kept.at(-1), plan);
  const segments = kept.map((one) => segmentOf(place, one));
  for (const segment of segments) if (!segment.hasIndexFile) await segment.file().sync();
  await disk.syncDirectory(directory);
  closeSealed(segments);
  const segmentsDamaged = segments.filter(({ damage }) => damage.length > 0).length;
  const { reason } = plan;
  const report = { segmentsScanned: scanned, segmentsRemoved, bytesCut, reason, segmentsDamaged };
  return { segments, report };
}

const NOTHING_FOUND: RecoveryReport = {
  segmentsScanned: 0,
  segmentsRemoved: 0,
  bytesCut: 0,
  reason: undefined,
  segmentsDamaged: 0,
};

function beginLog(place: LogPlace): Promise<Segment> {
  removeOthers(place, []);
  const { groupId } = place;
  const start = { firstIndex: 1, prevTerm: 0, baseOffset: 0, prevAppendTimeMs: 0 };
  return placeFirstSegment(place, { groupId, ...start, generation: 1 });
}

function openAll(place: LogPlace): Found[] {
  const { disk, directory, groupId } = place;
  const found: Found[] = [];
  for (const name of disk.list(directory)) {
    const firstIndex = indexOfName(name, "seg");
    if (firstIndex === undefined) continue;
    const path = `${directory}/${name}`;
    const file = disk.open(path, { create: false });
    const header = decodeSegmentHeader(file.readSync(0, SEGMENT_HEADER_BYTES));
    if ("problem" in header) {
      if (header.problem === "version") {
        file.close();
        throw new StorageError("version", path, "a newer program wrote this segment");
      }
      const problem = header.problem === "torn" ? "header incomplete" : "header damaged";
      found.push({ name, file, header: undefined, problem });
      continue;
    }
    if (header.groupId !== groupId || header.firstIndex !== firstIndex) {
      file.close();
      const detail = `belongs to group ${header.groupId}, index ${header.firstIndex}`;
      throw new StorageError("corrupt", path, `${detail}: files were mixed up`);
    }
    found.push({ name, file, header, problem: undefined });
  }
  return found;
}

/** Fills in what each file holds, up to the first damage. Returns how many were scanned. */
async function inspect(place: LogPlace, found: readonly Found[]): Promise<number> {
  let scanned = 0;
  for (const [number, one] of found.entries()) {
    const next = found[number + 1];
    const header = one.header ?? headerBetween(one, found[number - 1], next);
    if (header === undefined) break;
    const index = next === undefined ? undefined : loadIndexFile(place, one, header);
    if (index !== undefined && one.header !== undefined) {
      one.hasIndexFile = true;
      one.index = index;
      const isMarked = place.disk.exists(`${place.directory}/${damageMarkName(header.firstIndex)}`);
      if (isMarked) one.damage = await examineSegment(one.file, index);
      continue;
    }
    scanned += 1;
    const scan = await scanSegment(one.file, header, place.indexBytes);
    one.index = scan.index;
    if (scan.damage === undefined && one.header !== undefined) continue;
    if (!(await bridge(place, one, { ...scan, header }, next))) break;
  }
  return scanned;
}

/** Notes what was found in a damaged segment. True when the log can go on behind it. */
async function bridge(
  place: LogPlace,
  one: Found,
  { damage: found, header, index: run }: ScanResult & { readonly header: SegmentHeader },
  next: Found | undefined,
): Promise<boolean> {
  const { name, file } = one;
  const { breathe } = place;
  const detail = found?.detail ?? one.problem ?? "damaged";
  const before = { lastIndex: run.lastIndex, lastTerm: run.lastTerm, nextOffset: run.nextOffset };
  const damage = found ?? { position: 0, isShort: false, isFollowed: true, detail };
  // A header that only follows from the segment before is none: what it may head is not there to be cut and written to.
  one.finding = { name, header: one.header, run: before, damage };
  if (next === undefined) return bridgeLast(place, one, run, damage);
  if (next.header === undefined || !isPromised(next.header.firstIndex - 1, place)) return false;
  const stored = readIndexFile(place, one, header);
  // A wrong header alone: all frames are there, and the first entry stands for what has to be written anew.
  const first = { first: header.firstIndex, last: header.firstIndex, detail };
  const bridged =
    found === undefined && run.lastIndex >= first.first
      ? { index: run, damage: [first] }
      : await bridgeSegment({ file, run, next: next.header, stored, detail, breathe });
  if (bridged === undefined) return false;
  const { lastIndex, lastTerm, nextOffset } = bridged.index;
  const known = { lastIndex, lastTerm, nextOffset, promisedTo: lastIndex };
  one.finding = { ...one.finding, header, bridge: known };
  one.index = bridged.index;
  one.hasIndexFile = bridged.index === stored;
  one.damage = bridged.damage;
  return true;
}

/** The same for the newest segment. A torn write at its end, and what may have been lost with the power, is cut as ever. */
async function bridgeLast(
  place: LogPlace,
  one: Found,
  run: SegmentIndex,
  damage: SegmentDamage,
): Promise<boolean> {
  const isTorn = damage.isShort && !damage.isFollowed;
  if (isTorn || one.finding === undefined || !isPromised(run.lastIndex + 1, place)) return false;
  const bridged = await bridgeNewest(one.file, run, damage.detail, place.breathe);
  const promisedTo = bridged?.damage.at(-1)?.last;
  if (bridged === undefined || promisedTo === undefined || !isPromised(promisedTo, place)) {
    return false;
  }
  const { lastIndex, lastTerm, nextOffset } = bridged.index;
  one.finding = { ...one.finding, bridge: { lastIndex, lastTerm, nextOffset, promisedTo } };
  one.index = bridged.index;
  one.damage = bridged.damage;
  return true;
}

/** For a segment whose own header is damaged, between others. */
function headerBetween(
  one: Found,
  previous: Found | undefined,
  next: Found | undefined,
): SegmentHeader | undefined {
  if (previous?.index === undefined || next === undefined) return undefined;
  const header = headerAfter(previous.index);
  return segmentName(header.firstIndex) === one.name ? header : undefined;
}

/** The stored index, if it is about exactly this file: same length, and its last frame is where the index says. */
function loadIndexFile(
  place: LogPlace,
  one: Found,
  header: SegmentHeader,
): SegmentIndex | undefined {
  const index = readIndexFile(place, one, header);
  if (index === undefined) return undefined;
  const { lastPosition, end } = index;
  const last = decodeFrame(one.file.readSync(lastPosition, end - lastPosition), 0);
  if ("problem" in last) return undefined;
  return last.index === index.lastIndex && last.term === index.lastTerm ? index : undefined;
}

/** The stored index, if it is about a file with this header and this length. */
function readIndexFile(
  place: LogPlace,
  one: Found,
  header: SegmentHeader,
): SegmentIndex | undefined {
  const path = `${place.directory}/${indexFileName(header.firstIndex)}`;
  if (!place.disk.exists(path)) return undefined;
  const file = place.disk.open(path, { create: false });
  const summary = decodeIndexFile(file.readSync(0, file.size), header);
  file.close();
  if (summary === undefined || summary.end !== one.file.size) return undefined;
  if (summary.lastIndex < header.firstIndex) return undefined;
  return SegmentIndex.from(header, place.indexBytes, summary);
}

function findingOf(one: Found): SegmentFinding {
  if (one.finding !== undefined) return one.finding;
  const { name, header, index, file } = one;
  if (header === undefined) {
    const isShort = file.size < SEGMENT_HEADER_BYTES;
    const detail = one.problem ?? "header damaged";
    return { name, header, damage: { position: 0, isShort, isFollowed: false, detail } };
  }
  return index === undefined ? { name, header } : { name, header, run: index };
}

/** Removes every file of the log that is not one of `kept` or its index file, newest first. */
function removeOthers({ disk, directory }: LogPlace, kept: readonly Found[]): void {
  const names = new Set(kept.map(({ name }) => name));
  for (const one of kept) {
    if (one.hasIndexFile === true && one.header !== undefined) {
      names.add(indexFileName(one.header.firstIndex));
    }
    if (one.index !== undefined) names.add(damageMarkName(one.index.firstIndex));
  }
  for (const name of disk.list(directory).toReversed()) {
    const isOurs = OURS.some((ending) => name.endsWith(ending));
    if (isOurs && !names.has(name)) disk.remove(`${directory}/${name}`);
  }
}

function cutLast(
  disk: Disk,
  directory: string,
  last: Found | undefined,
  plan: Extract<RecoveryPlan, { readonly kind: "open" }>,
): number {
  if (last === undefined || plan.cutAt === undefined) return 0;
  const bytesCut = last.file.size - plan.cutAt;
  last.file.truncate(plan.cutAt);
  const indexPath = `${directory}/${last.name.replace(/seg$/, "idx")}`;
  if (disk.exists(indexPath)) disk.remove(indexPath);
  return bytesCut;
}

function segmentOf(place: LogPlace, one: Found): Segment {
  const { index, file, hasIndexFile } = one;
  if (index === undefined) throw new StorageError("corrupt", one.name, "was not looked at");
  const segment = new Segment(place.disk, place.directory, index, file);
  segment.hasIndexFile = hasIndexFile === true;
  segment.setDamage(one.damage ?? []);
  return segment;
}

function closeSealed(segments: readonly Segment[]): void {
  for (const segment of segments.slice(0, -1)) segment.closeFile();
}

async function makeDirectoryDurably(disk: Disk, directory: string): Promise<void> {
  const names = directory.split("/").filter((name) => name !== "");
  for (let depth = 1; depth <= names.length; depth += 1) {
    const path = names.slice(0, depth).join("/");
    if (disk.exists(path)) continue;
    disk.makeDirectory(path);
    await disk.syncDirectory(names.slice(0, depth - 1).join("/"));
  }
}
