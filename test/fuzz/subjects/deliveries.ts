// What stands in the log and in the keyed state about subscriptions: stored failures, parked keys, pages and records; commands,
// applied as replicas do. Whatever a replica accepts it can store, and be restored from.
import type { DeliveryCommand } from "../../../src/delivery/delivery-commands.ts";
import { encodeDeliveryCommand } from "../../../src/delivery/delivery-encoder.ts";
import {
  decodeFailure,
  decodeParked,
  encodeFailure,
  encodeParked,
} from "../../../src/delivery/delivery-records.ts";
import { DeliveryState } from "../../../src/delivery/delivery-state.ts";
import type { KeyedWrite } from "../../../src/log/ports.ts";
import { FrameError } from "../../../src/model/entry-frame.ts";
import { refusing, type Subject } from "../subject.ts";

const ID = "6f1d2c8e-0000-4000-8000-00000000000a";
const isTypeError = (error: unknown): boolean =>
  error instanceof TypeError || error instanceof SyntaxError;
const isFrameError = (error: unknown): boolean => error instanceof FrameError;

const ATTEMPTS = [
  { timeMs: 1, cause: "nack", error: "größe" },
  { timeMs: 2, cause: "session-lost", error: "" },
] as const;
const META = {
  v: 1,
  version: 3,
  createdIndex: 2,
  startOffset: 5,
  cursor: 9,
  dropped: 0,
  seekEpoch: 4,
  complete: true,
};

const records: Subject = {
  name: "delivery-records",
  seeds: [
    encodeFailure({ offset: 5, failed: 2, notBeforeMs: 9, isDead: false, attempts: ATTEMPTS }),
    encodeFailure({ offset: 5, failed: 2, notBeforeMs: 9, isDead: true, attempts: [] }),
    encodeParked({ offset: 5, key: Buffer.from("k"), scope: "key", sinceMs: 7 }),
    encodeParked({ offset: 5, key: undefined, scope: "partition", sinceMs: 7 }),
    Buffer.from(JSON.stringify(META)),
    Buffer.alloc(512, 0x55),
  ].map((bytes) => Buffer.from(bytes)),
  run(bytes) {
    refusing(isTypeError, () => {
      const failure = decodeFailure(5, bytes);
      decodeFailure(5, encodeFailure(failure));
    });
    refusing(isTypeError, () => {
      const parked = decodeParked(5, bytes);
      if (parked.key === undefined && bytes.length > 16) throw new Error("bytes are left over");
      decodeParked(5, encodeParked(parked));
    });
    const meta = Buffer.from(JSON.stringify(META));
    for (const kind of [
      "m",
      "s/00000000000",
      "f/00000000000009",
      "p/00000000000009",
      "c/000000000009",
      "x",
    ]) {
      const pairs = new Map<string, Uint8Array>([[`d/${ID}/m`, meta]]);
      pairs.set(`d/${ID}/${kind}`, bytes);
      refusing(isTypeError, () => {
        const state = new DeliveryState();
        state.restore(pairs);
        state.lowestCursor();
        new DeliveryState().restore(state.pairs());
      });
    }
  },
};

const COMMANDS: readonly DeliveryCommand[] = [
  { type: "attach", id: ID, version: 1, startOffset: 3, createdIndex: 1 },
  {
    type: "deliver",
    updates: [
      {
        id: ID,
        settle: [
          [3, 9],
          [12, 13],
        ],
        fail: [{ offset: 20, notBeforeMs: 9, attempt: { timeMs: 8, cause: "nack", error: "no" } }],
        dead: [{ offset: 21, attempt: undefined }],
        park: [{ offset: 22, key: Buffer.from("k"), scope: "key", sinceMs: 7 }],
        left: [4],
        joined: [2, 2 ** 47],
        complete: true,
      },
    ],
  },
  { type: "deliver", updates: [{ id: ID, release: [{ offset: 22, action: "dead" }] }] },
  { type: "seek", id: ID, offset: 4000 },
  { type: "deliver", updates: [{ id: ID, settle: [[4000, 9000]] }] },
  { type: "detach", id: ID },
];

/** Lines of JSON. */
function linesOf(commands: readonly DeliveryCommand[]): Buffer {
  return Buffer.from(commands.map((one) => JSON.stringify(encodeDeliveryCommand(one))).join("\n"));
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function stored(writes: readonly KeyedWrite[], pairs: Map<string, string>): void {
  for (const write of writes) {
    if (write.type === "put") pairs.set(write.key, Buffer.from(write.value).toString("hex"));
    else pairs.delete(write.key);
  }
}

function pairsOf(state: DeliveryState): string {
  const pairs = [...state.pairs()].map(([key, value]) => [key, Buffer.from(value).toString("hex")]);
  return JSON.stringify(pairs.sort());
}

const states: Subject = {
  name: "delivery-state",
  seeds: [linesOf(COMMANDS), linesOf(COMMANDS.slice(0, 3)), linesOf(COMMANDS.slice(0, 5))],
  cost: 4,
  run(bytes) {
    const [state, other] = [new DeliveryState(), new DeliveryState()];
    const pairs = new Map<string, string>();
    let baseOffset = 10_000;
    for (const line of bytes.toString("utf8").split("\n").slice(0, 50)) {
      const command = parsed(line);
      if (command === undefined) continue;
      const logStartOffset = Math.max(0, baseOffset - 10_000);
      const context = { term: 1 + Math.trunc(baseOffset / 1000), baseOffset, logStartOffset };
      baseOffset += 500;
      refusing(isFrameError, () => {
        state.check(command);
        const writes: KeyedWrite[] = [];
        const reply = JSON.stringify(state.apply(command, context, writes));
        stored(writes, pairs);
        if (JSON.stringify(other.apply(command, context, [])) !== reply) throw new Error(reply);
      });
      const writes: KeyedWrite[] = [];
      state.logStartMoved(context, writes);
      other.logStartMoved(context, []);
      stored(writes, pairs);
    }
    const restored = new DeliveryState();
    restored.restore([...pairs].map(([key, hex]) => [key, Buffer.from(hex, "hex")] as const));
    for (const one of [other, restored]) {
      if (pairsOf(one) !== pairsOf(state)) throw new Error("replicas differ");
    }
  },
};

export const deliverySubjects: readonly Subject[] = [records, states];
