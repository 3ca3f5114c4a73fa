import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { BrokerError, ERROR_TABLE, type ErrorReason } from "../../src/model/errors.ts";
import {
  errorOfReason,
  errorOfStatus,
  metadataOf,
  STATUS,
  STATUS_OF_REASON,
  statusOf,
} from "../../src/rpc/status.ts";

const reasons = Object.keys(ERROR_TABLE) as ErrorReason[];

// The public google.rpc messages, written down from their documentation, as an independent check of our bytes.
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message RetryInfo { Duration retry_delay = 1; }
`);

function decoded(name: string, bytes: Buffer): Record<string, unknown> {
  const type = root.lookupType(name);
  return type.toObject(type.decode(bytes), { longs: Number, defaults: false });
}

describe("status", () => {
  test.each(reasons)("status: %s survives the way over the wire", (reason) => {
    const error = new BrokerError(reason, "because", { leaderId: 3, hint: "a:1", refused: true });
    const wire = statusOf(error);
    expect(wire.code).toBe(STATUS[STATUS_OF_REASON[reason]]);
    const back = errorOfStatus({ code: wire.code, message: wire.message, details: wire.details });
    expect(back).toMatchObject({ reason, message: "because", fields: error.fields });
  });

  test("status: details are a google.rpc.Status with ErrorInfo and RetryInfo", () => {
    const error = new BrokerError("QUOTA_EXCEEDED", "slow down", { retryAfterMs: 2500 });
    const status = decoded("Status", statusOf(error).details) as {
      details: { typeUrl: string; value: Buffer }[];
    };
    expect(status).toMatchObject({ code: 8, message: "slow down" });
    const [info, retry] = status.details;
    expect(info?.typeUrl).toBe("type.googleapis.com/google.rpc.ErrorInfo");
    expect(decoded("ErrorInfo", info?.value ?? Buffer.alloc(0))).toEqual({
      reason: "QUOTA_EXCEEDED",
      domain: "flotilla",
      metadata: { retryAfterMs: "2500" },
    });
    expect(retry?.typeUrl).toBe("type.googleapis.com/google.rpc.RetryInfo");
    expect(decoded("RetryInfo", retry?.value ?? Buffer.alloc(0))).toEqual({
      retryDelay: { seconds: 2, nanos: 500_000_000 },
    });
  });

  test.each([
    [STATUS.UNAVAILABLE, "connect ECONNREFUSED 127.0.0.1:1", "UNREACHABLE", { refused: true }],
    [STATUS.UNAVAILABLE, "connection dropped", "UNREACHABLE", {}],
    [STATUS.DEADLINE_EXCEEDED, "", "DEADLINE", {}],
    [STATUS.CANCELLED, "", "CANCELLED", {}],
    [STATUS.UNIMPLEMENTED, "", "UNSUPPORTED_VERSION", {}],
    [STATUS.RESOURCE_EXHAUSTED, "Received message larger than max", "RECORD_TOO_LARGE", {}],
    [STATUS.RESOURCE_EXHAUSTED, "enhance your calm", "OVERLOADED", {}],
    [STATUS.INTERNAL, "Received RST_STREAM with code 2", "UNREACHABLE", {}],
    [STATUS.INTERNAL, "?", "INTERNAL", { status: 13 }],
    [STATUS.PERMISSION_DENIED, "", "INTERNAL", { status: 7 }],
  ])("status: %i %s without ErrorInfo means %s", (code, message, reason, fields) => {
    const error = errorOfStatus({ code, message, details: undefined });
    expect(error.reason).toBe(reason);
    expect(error.fields).toMatchObject(fields);
  });

  test("status: ignores details that are malformed or of another domain", () => {
    const foreign = root.lookupType("ErrorInfo").encode({ reason: "NOT_LEADER", domain: "x" });
    const any = { typeUrl: "type.googleapis.com/google.rpc.ErrorInfo", value: foreign.finish() };
    const details = Buffer.from(
      root
        .lookupType("Status")
        .encode({ details: [any] })
        .finish(),
    );
    for (const bytes of [details, Buffer.from([0xff, 0xff]), Buffer.alloc(0)]) {
      expect(errorOfStatus({ code: 5, message: "", details: bytes }).reason).toBe("INTERNAL");
    }
  });

  test("status: a reason of a newer broker becomes INTERNAL and keeps its name", () => {
    const error = errorOfReason("FROM_THE_FUTURE", "hm", { a: "1" });
    expect(error).toMatchObject({
      reason: "INTERNAL",
      fields: { reason: "FROM_THE_FUTURE", a: 1 },
    });
    expect(errorOfReason("constructor", "", {}).reason).toBe("INTERNAL");
  });

  test("status: cuts long texts and replaces lone surrogates (grpc-js would throw)", () => {
    const wire = statusOf(new BrokerError("INTERNAL", `\ud800${"x".repeat(5000)}`));
    expect(wire.message.length).toBeLessThanOrEqual(1024);
    expect(() => encodeURI(wire.message)).not.toThrow();
    const [text] = Object.values(metadataOf({ text: "x".repeat(5000) }));
    expect(text?.length).toBeLessThanOrEqual(1024);
  });
});
