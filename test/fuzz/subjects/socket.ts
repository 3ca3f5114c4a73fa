// Every request of every rpc to a real broker over a real socket: it answers or refuses with a reason of its own, and lives.
import { connect } from "node:http2";
import * as v1 from "../../../src/rpc/generated/flotilla-v1.ts";
import { message } from "../../flood/wire.ts";
import { protobufBytes } from "../inputs.ts";
import { callWith } from "../raw-call.ts";
import type { Subject } from "../subject.ts";
import type { FuzzedBroker } from "./broker.ts";
import { MESSAGE_SEEDS, METHODS } from "./wire.ts";

/** close() must follow; the broker stays. */
export function socketSubject({ assertUnharmed, node, topicId }: FuzzedBroker): Subject {
  const sessions = [node.client, node.peer].map((endpoint) => connect(`http://${endpoint}`));
  for (const session of sessions) session.on("error", () => undefined);
  let turn = 0;
  return {
    name: "socket",
    seeds: [...MESSAGE_SEEDS, ...seedsAbout(topicId)],
    shapes: protobufBytes,
    cost: 20,
    async run(bytes) {
      // Methods of the other listener are unknown here, which is a question too.
      for (const session of sessions) {
        for (let count = 0; count < 4; count += 1) {
          const method = METHODS[turn % METHODS.length];
          turn += 1;
          if (method !== undefined) await callWith(session, method.path, [message(bytes)]);
        }
      }
      await assertUnharmed();
    },
    close() {
      for (const session of sessions) session.destroy();
      return Promise.resolve();
    },
  };
}

/** Requests about a partition that there is. */
function seedsAbout(topicId: string): Buffer[] {
  const place = { subscription: "s", topicId, partition: 0 };
  const held = [v1.HeldMessages.create({ topicId, ranges: [0, 1, 5, 2] })];
  const open = v1.SubscribeOpen.create({
    subscription: "s",
    consumerId: "c",
    protocolVersion: 1,
    held,
  });
  const settle = [v1.Settle.create({ number: 1, deliveryNumber: 1, kind: "nack", ranges: [0, 1] })];
  const credit = { creditMessages: 10, creditBytes: 10_000 };
  return [
    v1.SubscribeRequest.encode(v1.SubscribeRequest.create({ open, ...credit, settle })),
    v1.ExplainRequest.encode(v1.ExplainRequest.create({ ...place, offset: 0 })),
    v1.SeekRequest.encode(v1.SeekRequest.create({ ...place, kind: "offset", offset: 1 })),
    v1.ListParkedKeysRequest.encode(v1.ListParkedKeysRequest.create(place)),
    v1.ReleaseKeyRequest.encode(v1.ReleaseKeyRequest.create({ ...place, offset: 1 })),
  ];
}
