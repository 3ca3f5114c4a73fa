"""Consumes a subscription: plain messages over one Subscribe stream per broker, acknowledged one by one.

    python subscribe.py --endpoint 127.0.0.1:7001 --topic orders --subscription mail --create --send 10

Messages come from every partition that a broker leads, so there is a stream to each broker. The last line of the output is
a JSON summary; the exit status is 0 when every message was handled and its acknowledgement confirmed.
"""

import argparse
import itertools
import json
import pathlib
import queue
import sys
import threading
import time
import uuid

import grpc

import flotilla_client
import flotilla_stubs

PROTO = pathlib.Path(__file__).resolve().parent.parent.parent / "proto"
CREDIT_MESSAGES = 16
CREDIT_BYTES = 1 << 20
PAUSE_SECONDS = 0.5


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", action="append", required=True, help="host:port of a broker; may be repeated")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--create", action="store_true", help="create topic and subscription unless they exist")
    parser.add_argument("--send", type=int, default=0, help="send so many messages first")
    parser.add_argument("--count", type=int, help="end when so many were handled (default: as many as were sent)")
    parser.add_argument("--seconds", type=float, default=30, help="end after this long, whatever was handled")
    parser.add_argument("--proto", type=pathlib.Path, default=PROTO, help="directory of the .proto files")
    return parser.parse_args()


class Consumer:
    """One consumer of a subscription: a stream to each broker, all under one consumer id.

    `handle(message, attempt)` works on a message. When it returns, the message is acknowledged; when it raises, the message
    has failed and comes again after the delay of the subscription's retry policy. It must be quicker than the ack deadline
    (30 s by default), or say SETTLE_KIND_EXTEND meanwhile. A message whose acknowledgement was not confirmed comes again.
    """

    def __init__(self, stubs, client, subscription, handle):
        self.proto = stubs.subscription_service_pb2
        self.client = client
        self.subscription = subscription
        self.handle = handle
        self.consumer_id = f"python-{uuid.uuid4()}"
        self.closing = threading.Event()
        #: (topic, partition, offset) of every message whose acknowledgement is in force.
        self.confirmed = set()
        self._streams = []

    def start(self, endpoints):
        for endpoint in endpoints:
            stream = Stream(self, endpoint)
            self._streams.append(stream)
            stream.thread.start()

    def close(self):
        """Nothing more is delivered, what was said is confirmed, then the streams end."""
        self.closing.set()
        for stream in self._streams:
            stream.say(drain=True)
        for stream in self._streams:
            stream.thread.join(timeout=10)


class Stream:
    """A consumer's stream to one broker, on a thread of its own."""

    def __init__(self, consumer, endpoint):
        self._consumer = consumer
        self._endpoint = endpoint
        self._outbox = queue.Queue()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def say(self, **fields):
        self._outbox.put(self._consumer.proto.SubscribeRequest(**fields))

    def _run(self):
        """A stream that broke is opened again, with nothing of before: what was not confirmed comes again."""
        while not self._consumer.closing.is_set():
            self._outbox = queue.Queue()
            try:
                self._receive()
            except grpc.RpcError as error:
                print(f"{self._endpoint}: {flotilla_client.refusal_of(error)}", file=sys.stderr)
                self._consumer.closing.wait(PAUSE_SECONDS)
            finally:
                # Nobody waits for more to say.
                self._outbox.put(None)

    def _receive(self):
        consumer, proto = self._consumer, self._consumer.proto
        self.say(
            open=proto.SubscribeOpen(
                subscription=consumer.subscription,
                consumer_id=consumer.consumer_id,
                protocol_version=1,
                form=proto.DELIVERY_FORM_MESSAGES,
            ),
            credit_messages=CREDIT_MESSAGES,
            credit_bytes=CREDIT_BYTES,
            # Closed before it was open: see close().
            drain=consumer.closing.is_set(),
        )
        channels = {}
        numbers = itertools.count(1)
        # Settlements that are not confirmed yet, by number; of those that acknowledge, the message.
        waiting = {}
        is_drained = False
        for answer in consumer.client.subscribe(self._endpoint, iter(self._outbox.get, None)):
            for channel in answer.channels:
                channels[channel.channel] = channel
                # Of the partition's former leader this consumer holds nothing.
                held = proto.HeldMessages(topic_id=channel.topic_id, partition=channel.partition)
                self.say(held=[held])
            for delivery in answer.deliveries:
                attempts = {item.offset: item.failed + 1 for item in delivery.redeliveries}
                for message in delivery.messages:
                    settle = self._work(delivery, message, attempts.get(message.offset, 1), next(numbers))
                    channel = channels[delivery.channel]
                    place = (channel.topic, channel.partition, message.offset)
                    waiting[settle.number] = place if settle.kind == proto.SETTLE_KIND_ACK else None
                    # What it cost, so that as much may come again.
                    self.say(settle=[settle], credit_messages=1, credit_bytes=size_of(message))
            for number in answer.settled:
                place = waiting.pop(number)
                if place is not None:
                    consumer.confirmed.add(place)
            for refusal in answer.refusals:
                # Not ours any more, e.g. because its ack deadline passed: somebody gets it again.
                print(f"refused: {refusal.reason}: {refusal.message}", file=sys.stderr)
                waiting.pop(refusal.number, None)
            is_drained = is_drained or answer.drained
            if is_drained and not waiting:
                self._outbox.put(None)

    def _work(self, delivery, message, attempt, number):
        """Each message is settled for itself; `ranges` could name several."""
        proto = self._consumer.proto
        settle = proto.Settle(
            number=number,
            channel=delivery.channel,
            delivery_number=delivery.delivery_number,
            kind=proto.SETTLE_KIND_ACK,
            ranges=[message.offset, 1],
        )
        try:
            self._consumer.handle(message, attempt)
        except Exception as error:
            settle.kind = proto.SETTLE_KIND_NACK
            settle.error = str(error)[:256]
        return settle


def size_of(message):
    """What a message takes from the credit: key, value, names and values of headers."""
    headers = sum(len(header.name.encode()) + len(header.value) for header in message.headers)
    return len(message.key) + len(message.value) + headers


def send(client, stubs, topic, count):
    for number in range(count):
        key = f"customer-{number}".encode()
        message = stubs.produce_service_pb2.PublishMessage(
            key=key, value=f"order {number}".encode(), message_id=str(uuid.uuid4())
        )
        client.publish(topic, client.partition_of(topic, key), message)


def main():
    options = arguments()
    stubs = flotilla_stubs.load(options.proto)
    client = flotilla_client.Client(stubs, options.endpoint, print)
    if options.create:
        client.create_topic(options.topic, partitions=3)
        client.create_subscription(options.subscription, options.topic)
    send(client, stubs, options.topic, options.send)

    seen = []

    def handle(message, attempt):
        text = message.value.decode(errors="replace")
        print(f"{text}, attempt {attempt}")
        # Shows what a failure is: the first attempt of one message.
        if text == "order 3" and attempt == 1:
            raise ValueError("out of luck")
        seen.append((text, attempt))

    count = options.send if options.count is None else options.count
    consumer = Consumer(stubs, client, options.subscription, handle)
    consumer.start(broker.endpoint for broker in client.metadata(options.topic).brokers)
    until = time.monotonic() + options.seconds
    while len(consumer.confirmed) < count and time.monotonic() < until:
        time.sleep(0.05)
    consumer.close()
    client.close()

    texts = {text for text, _ in seen}
    checks = {
        "all handled": all(f"order {number}" in texts for number in range(options.send)),
        "all confirmed": len(consumer.confirmed) >= count,
        "failed one came again": options.send < 4 or ("order 3", 2) in seen,
    }
    print(json.dumps({"handled": len(texts), "confirmed": len(consumer.confirmed), "checks": checks}))
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
