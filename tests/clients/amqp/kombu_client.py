"""kombu_client.py PORT: kombu over py-amqp, as Celery uses it."""
import socket
import sys
import time
import uuid

import amqp
import kombu
from kombu import Connection, Consumer, Exchange, Producer, Queue

PORT = int(sys.argv[1])
PREFIX = "kombu-"
URL = f"amqp://guest:guest@127.0.0.1:{PORT}//"


def same(found, expected, what):
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


def drain_events(connection, done):
    deadline = time.monotonic() + 30
    while not done() and time.monotonic() < deadline:
        try:
            connection.drain_events(timeout=0.5)
        except socket.timeout:
            pass
    assert done(), "waited in vain"


def tasks(connection):
    """A direct exchange with a priority queue, confirmed publishes and late acknowledgements."""
    exchange = Exchange(PREFIX + "tasks", "direct", durable=True)
    queue = Queue(PREFIX + "tasks", exchange, routing_key="task", durable=True, max_priority=5)
    channel = connection.channel()
    producer = Producer(channel, exchange, "task", serializer="json")
    for number, priority in enumerate([0, 5, 3]):
        producer.publish({"number": number}, declare=[queue], priority=priority, headers={"id": str(uuid.uuid4())}, retry=True)
    seen = []

    def take(body, message):
        seen.append(body["number"])
        if message.delivery_info["redelivered"] or body["number"] != 1:
            message.ack()
        else:
            message.requeue()

    with Consumer(connection.channel(), [queue], callbacks=[take], prefetch_count=1, accept=["json"]):
        drain_events(connection, lambda: len(seen) == 4)
    same(seen, [1, 1, 2, 0], "the order")
    bound = queue(channel)
    same(bound.get(), None, "nothing left")
    bound.delete()
    exchange(channel).delete()
    channel.close()


def topics(connection):
    exchange = Exchange(PREFIX + "events", "topic", durable=False, auto_delete=True)
    queue = Queue("", exchange, routing_key="task.#", exclusive=True)
    channel = connection.channel()
    seen = []
    with Consumer(channel, [queue], callbacks=[lambda body, message: seen.append((body, message.delivery_info["routing_key"]))], no_ack=True):
        producer = Producer(channel, exchange)
        for key in ("task.sent", "worker.online", "task", "task.a.b"):
            producer.publish(key, routing_key=key, content_type="text/plain", content_encoding="utf-8")
        drain_events(connection, lambda: len(seen) == 3)
    same(seen, [(key, key) for key in ("task.sent", "task", "task.a.b")], "what matched")
    channel.close()


def replies(connection):
    """A call and its answer over a queue of its own, as remote control does it."""
    server, client = connection.channel(), connection.channel()
    calls, answers = Queue(PREFIX + "calls", durable=False, auto_delete=True), Queue(str(uuid.uuid4()), exclusive=True)

    def serve(body, message):
        Producer(server).publish(body * 2, routing_key=message.properties["reply_to"], correlation_id=message.properties["correlation_id"])
        message.ack()

    seen = []
    with Consumer(server, [calls], callbacks=[serve]), Consumer(
        client, [answers], callbacks=[lambda body, message: seen.append((body, message.properties["correlation_id"]))], no_ack=True
    ):
        Producer(client).publish(21, routing_key=calls.name, reply_to=answers.name, correlation_id="c", serializer="json")
        drain_events(connection, lambda: seen)
    same(seen, [(42, "c")], "the answer")
    server.close()
    client.close()


def errors(connection):
    channel = connection.channel()
    missing = PREFIX + "missing"
    try:
        channel.queue_declare(missing, passive=True)
    except amqp.NotFound as error:
        same((error.reply_code, error.reply_text), (404, f"NOT_FOUND - no queue '{missing}' in vhost '/'"), "the reason")
    else:
        raise AssertionError("expected a refusal")
    channel = connection.channel()
    try:
        channel.exchange_declare("amq.direct", "topic", durable=True, auto_delete=False)
    except amqp.PreconditionFailed as error:
        text = "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': received 'topic' but current is 'direct'"
        same((error.reply_code, error.reply_text), (406, text), "the reason")
    else:
        raise AssertionError("expected a refusal")
    try:
        Connection(f"amqp://guest:wrong@127.0.0.1:{PORT}//").connect()
    except amqp.AccessRefused as error:
        assert "Login was refused" in str(error), error
    else:
        raise AssertionError("expected a refusal")


def heartbeats():
    """A client that says nothing but heartbeats is kept."""
    with Connection(URL, heartbeat=1) as connection:
        connection.connect()
        until = time.monotonic() + 4
        while time.monotonic() < until:
            connection.heartbeat_check(rate=2)
            try:
                connection.drain_events(timeout=0.25)
            except socket.timeout:
                pass
        channel = connection.channel()
        channel.exchange_declare("amq.direct", "direct", passive=True)


def main():
    with Connection(URL, transport_options={"confirm_publish": True}) as connection:
        steps = [tasks, topics, replies, errors]
        for step in steps:
            step(connection)
    heartbeats()
    print(f"ok kombu {kombu.__version__}: {len(steps) + 1} steps")


main()
