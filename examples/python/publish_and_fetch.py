"""Publishes a message twice with the same message id, shows that it was stored once, and reads it back.

    python publish_and_fetch.py --endpoint 127.0.0.1:7001 --topic orders --create

The last line of the output is a JSON summary; the exit status is 0 when everything was as promised.
"""

import argparse
import json
import pathlib
import sys
import uuid

import flotilla_client
import flotilla_stubs

PROTO = pathlib.Path(__file__).resolve().parent.parent.parent / "proto"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", action="append", required=True, help="host:port of a broker; may be repeated")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--key", default="customer-1")
    parser.add_argument("--value", default="hello from Python")
    parser.add_argument("--create", action="store_true", help="create the topic (3 partitions) unless it exists")
    parser.add_argument("--proto", type=pathlib.Path, default=PROTO, help="directory of the .proto files")
    return parser.parse_args()


def main():
    options = arguments()
    stubs = flotilla_stubs.load(options.proto)
    hints = []

    def log(text):
        hints.append(text)
        print(text)

    client = flotilla_client.Client(stubs, options.endpoint, log)
    if options.create:
        client.create_topic(options.topic, partitions=3)

    key = options.key.encode()
    partition = client.partition_of(options.topic, key)
    print(f"key {options.key!r} is in slot {flotilla_client.slot_of(key)}, partition {partition}")

    message_id = str(uuid.uuid4())
    message = stubs.produce_service_pb2.PublishMessage(
        key=key,
        value=options.value.encode(),
        headers=[stubs.common_pb2.Header(name="origin", value=b"python")],
        message_id=message_id,
    )
    first = client.publish(options.topic, partition, message)
    print(f"published {message_id}: partition {first.partition}, offset {first.offset}, term {first.leader_epoch}")

    # A retry, as after a lost answer. It begins at each broker in turn, so most of them have to name the leader.
    again = [
        client.publish(options.topic, partition, message, first_endpoint=broker.endpoint)
        for broker in client.metadata(options.topic).brokers
    ]
    for receipt in again:
        print(f"published again: offset {receipt.offset}, duplicate {receipt.duplicate}")

    answer = client.fetch(options.topic, partition, first.offset)
    values = [item.value.decode(errors="replace") for item in answer.messages]
    print(f"fetched from offset {first.offset}: {values}, next offset {answer.next_offset}")
    client.close()

    checks = {
        "stored once": all(item.duplicate and item.offset == first.offset for item in again),
        "read back": bool(answer.messages)
        and answer.messages[0].offset == first.offset
        and answer.messages[0].key == key
        and values[0] == options.value,
        "header kept": bool(answer.messages)
        and any(item.name == "origin" and item.value == b"python" for item in answer.messages[0].headers),
    }
    print(json.dumps({"partition": partition, "offset": first.offset, "hintsFollowed": len(hints), "checks": checks}))
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
