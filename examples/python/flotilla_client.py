"""A small client of Flotilla, made from nothing but the .proto files.

It shows what any language can do without our SDK: route by key, publish with an idempotency key, follow the leader,
read plain messages. docs/PROTOCOL.md describes the rules.
"""

import time

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

SLOTS = 4096
ATTEMPTS = 40
BACKOFF_SECONDS = 0.25
CALL_SECONDS = 5.0


class Refused(Exception):
    """A broker's refusal: `reason` and `metadata` are the interface, the text is for people."""

    def __init__(self, reason, message, metadata):
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.metadata = metadata


def refusal_of(error):
    """Reads google.rpc.ErrorInfo from a failed call. Without it, the network failed: the outcome is unknown."""
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == "flotilla":
            return Refused(info.reason, status.message, dict(info.metadata))
    return Refused(error.code().name, error.details(), {})


def murmur2(data):
    """The hash of Kafka's clients (32 bits, seed 0x9747b28c)."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little")
        k = (k * m) & mask
        k ^= k >> 24
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
    rest = data[whole:]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    return h ^ (h >> 15)


def slot_of(key):
    return (murmur2(key) & 0x7FFFFFFF) % SLOTS


class Client:
    def __init__(self, stubs, endpoints, log):
        self._stubs = stubs
        self._bootstrap = list(endpoints)
        self._log = log
        self._channels = {}
        self._leaders = {}

    def close(self):
        for channel in self._channels.values():
            channel.close()

    def metadata(self, topic):
        """Asks any broker that answers."""
        request = self._stubs.metadata_service_pb2.GetMetadataRequest(topics=[topic], protocol_version=1)
        last = None
        for endpoint in self._bootstrap:
            stub = self._stubs.metadata_service_pb2_grpc.MetadataServiceStub(self._channel(endpoint))
            try:
                answer = stub.GetMetadata(request, timeout=CALL_SECONDS)
            except grpc.RpcError as error:
                last = refusal_of(error)
                continue
            endpoints = {broker.node_id: broker.endpoint for broker in answer.brokers}
            for info in answer.topics:
                for partition in info.partitions:
                    if partition.leader_id in endpoints:
                        self._leaders[topic, partition.partition] = endpoints[partition.leader_id]
            return answer
        raise last or Refused("UNREACHABLE", "no broker", {})

    def create_topic(self, topic, partitions):
        request = self._stubs.admin_service_pb2.CreateTopicRequest(name=topic, partitions=partitions)
        stub_of = self._stubs.admin_service_pb2_grpc.AdminServiceStub
        self._at_controller(
            lambda channel: stub_of(channel).CreateTopic(request, timeout=CALL_SECONDS * 2),
            "TOPIC_EXISTS",
        )

    def create_subscription(self, name, topic):
        """Every message of the topic, in any order, from the earliest one; what is left out has its default."""
        messages = self._stubs.subscription_service_pb2
        definition = messages.SubscriptionDefinition(
            name=name, topics=messages.TopicSelection(names=[topic]), mode=messages.SUBSCRIPTION_MODE_SHARED
        )
        request = messages.CreateSubscriptionRequest(definition=definition)
        stub_of = self._stubs.subscription_service_pb2_grpc.SubscriptionServiceStub
        self._at_controller(
            lambda channel: stub_of(channel).CreateSubscription(request, timeout=CALL_SECONDS * 2),
            "SUBSCRIPTION_EXISTS",
        )

    def subscribe(self, endpoint, requests):
        """A consumer's stream to one broker: iterates over its answers."""
        stub = self._stubs.subscription_service_pb2_grpc.SubscriptionServiceStub(self._channel(endpoint))
        return stub.Subscribe(requests)

    def _at_controller(self, call, exists):
        """Changes go to the leader of the metadata group; other brokers name it."""
        endpoint = self._bootstrap[0]
        for attempt in range(ATTEMPTS):
            try:
                call(self._channel(endpoint))
                return
            except grpc.RpcError as error:
                refused = refusal_of(error)
            if refused.reason == exists:
                return
            if refused.reason == "INVALID_REQUEST":
                raise refused
            endpoint = self._next_endpoint(refused, attempt)
        raise refused

    def partition_of(self, topic, key):
        """The partition that owns the key's slot."""
        slot = slot_of(key)
        for info in self.metadata(topic).topics:
            for partition in info.partitions:
                for first, end in zip(partition.slot_from, partition.slot_to):
                    if first <= slot < end:
                        return partition.partition
        raise Refused("UNKNOWN_TOPIC_OR_PARTITION", f"no partition for slot {slot} of {topic}", {})

    def publish(self, topic, partition, message, first_endpoint=None):
        """Repeats until the outcome is known: the message id makes that safe.

        :param first_endpoint: where to try first; default the leader, as far as known
        """
        request = self._stubs.produce_service_pb2.PublishRequest(
            topic=topic,
            partition=partition,
            messages=[message],
            acks=self._stubs.common_pb2.ACKS_ALL,
        )

        def call(endpoint):
            stub = self._stubs.produce_service_pb2_grpc.ProduceServiceStub(self._channel(endpoint))
            return stub.Publish(request, timeout=CALL_SECONDS).receipts[0]

        return self._at_leader(topic, partition, call, first_endpoint)

    def fetch(self, topic, partition, offset, messages_max=100, wait_ms=1000):
        request = self._stubs.fetch_service_pb2.FetchMessagesRequest(
            topic=topic, partition=partition, offset=offset, messages_max=messages_max, wait_ms=wait_ms
        )

        def call(endpoint):
            stub = self._stubs.fetch_service_pb2_grpc.FetchServiceStub(self._channel(endpoint))
            return stub.FetchMessages(request, timeout=CALL_SECONDS + wait_ms / 1000)

        return self._at_leader(topic, partition, call, None)

    def _at_leader(self, topic, partition, call, endpoint):
        endpoint = endpoint or self._leaders.get((topic, partition)) or self._bootstrap[0]
        refused = None
        for attempt in range(ATTEMPTS):
            try:
                return call(endpoint)
            except grpc.RpcError as error:
                refused = refusal_of(error)
            if refused.reason in ("INVALID_ARGUMENT", "INVALID_REQUEST", "RECORD_TOO_LARGE", "ACKS_TOO_WEAK"):
                raise refused
            endpoint = self._next_endpoint(refused, attempt, topic, partition)
        raise refused

    def _next_endpoint(self, refused, attempt, topic=None, partition=None):
        """NOT_LEADER names the leader where it is known; otherwise wait a moment and look around."""
        hint = refused.metadata.get("leaderEndpoint")
        if refused.reason == "NOT_LEADER" and hint:
            self._log(f"followed the hint to {hint}")
            if topic is not None:
                self._leaders[topic, partition] = hint
            return hint
        time.sleep(BACKOFF_SECONDS)
        if topic is not None:
            try:
                self.metadata(topic)
            except Refused:
                pass
            known = self._leaders.get((topic, partition))
            if known is not None:
                return known
        return self._bootstrap[attempt % len(self._bootstrap)]

    def _channel(self, endpoint):
        if endpoint not in self._channels:
            self._channels[endpoint] = grpc.insecure_channel(
                endpoint, options=[("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 16 << 20)]
            )
        return self._channels[endpoint]
