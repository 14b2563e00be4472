"""pika_client.py PORT: the blocking client of pika."""
import sys
import time

import pika
from pika import exceptions

PORT = int(sys.argv[1])
PREFIX = "pika-"


def same(found, expected, what):
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


def parameters(user="guest", password="guest", host="/"):
    return pika.ConnectionParameters(
        "127.0.0.1",
        PORT,
        host,
        pika.PlainCredentials(user, password),
        client_properties={"connection_name": "the test of pika"},
    )


def connect():
    return pika.BlockingConnection(parameters())


def channel_refuses(connection, code, text, action):
    """The channel is closed with this code and text, and the connection goes on."""
    channel = connection.channel()
    try:
        action(channel)
        # What is not answered is seen by what follows, sooner or later.
        for _ in range(300):
            channel.basic_qos()
            connection.process_data_events(0.1)
    except exceptions.ChannelClosedByBroker as closed:
        same((closed.reply_code, closed.reply_text), (code, text), "the reason")
    else:
        raise AssertionError(f"expected {code} {text}")
    assert connection.is_open and not channel.is_open


def connection_refuses(code, text, action):
    """The connection is closed with this code and text."""
    channel = connect().channel()
    try:
        action(channel)
        channel.basic_qos()
    except exceptions.ConnectionClosedByBroker as closed:
        same((closed.reply_code, closed.reply_text), (code, text), "the reason")
    else:
        raise AssertionError(f"expected {code} {text}")


def get(channel, queue, auto_ack=True):
    """The body of the next message, or None; waits for none."""
    method, _, body = channel.basic_get(queue, auto_ack=auto_ack)
    return None if method is None else body


def drain(channel, queue):
    bodies = []
    while (body := get(channel, queue)) is not None:
        bodies.append(body)
    return bodies


def queues(connection):
    channel = connection.channel()
    made = channel.queue_declare("", exclusive=True).method.queue
    assert made.startswith("amq.gen-") and len(made) == 30, made
    name = PREFIX + "q"
    channel.queue_declare(name)
    channel.confirm_delivery()
    for body in (b"1", b"2"):
        channel.basic_publish("", name, body)
    declared = channel.queue_declare(name, passive=True).method
    same((declared.message_count, declared.consumer_count), (2, 0), "the counts")
    same(channel.queue_purge(name).method.message_count, 2, "what was purged")
    channel.basic_publish("", name, b"3")
    same(channel.queue_delete(name).method.message_count, 1, "what was deleted")
    same(channel.queue_delete(name).method.message_count, 0, "what is not there")
    channel.queue_declare(name, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.basic_publish("", name, b"1")
    try:
        channel.basic_publish("", name, b"2")
    except exceptions.NackError:
        pass
    else:
        raise AssertionError("expected a nack")
    channel.queue_delete(name)
    channel.close()


def publishes(connection):
    channel = connection.channel()
    channel.confirm_delivery()
    name = PREFIX + "publishes"
    channel.queue_declare(name)
    properties = pika.BasicProperties(
        content_type="application/json",
        content_encoding="identity",
        headers={"bool": True, "int": -5, "long": 1 << 40, "text": "é", "list": [1, "a"], "table": {"deep": {}}, "none": None},
        delivery_mode=2,
        priority=7,
        correlation_id="c-1",
        reply_to="somewhere",
        expiration="60000",
        message_id="m-1",
        timestamp=1_700_000_000,
        type="t",
        user_id="guest",
        app_id="app",
    )
    sizes = [0, 1, 131_064, 131_065, 1_000_000]
    for size in sizes:
        channel.basic_publish("", name, bytes(size), properties)
    for left, size in zip(reversed(range(len(sizes))), sizes):
        method, found, body = channel.basic_get(name, auto_ack=True)
        same(method.message_count, left, "what is left")
        same(body, bytes(size), "the body")
        same(vars(found), vars(properties), "the properties")
    same(get(channel, name), None, "the empty queue")
    try:
        channel.basic_publish("", PREFIX + "nowhere", b"back", properties, mandatory=True)
    except exceptions.UnroutableError as error:
        (returned,) = error.messages
        same((returned.method.reply_code, returned.method.reply_text), (312, "NO_ROUTE"), "why it is back")
        same((returned.method.exchange, returned.method.routing_key), ("", PREFIX + "nowhere"), "its address")
        same((returned.body, vars(returned.properties)), (b"back", vars(properties)), "what is back")
    else:
        raise AssertionError("expected the message back")
    channel.queue_delete(name)
    channel.close()


def consumers(connection):
    channel = connection.channel()
    name = PREFIX + "consumers"
    channel.queue_declare(name)
    for number in range(10):
        channel.basic_publish("", name, str(number).encode())
    seen = []
    channel.basic_qos(prefetch_count=3)
    tag = channel.basic_consume(name, lambda _c, method, _p, body: seen.append((method, body)))
    assert tag

    def wait(number):
        deadline = time.monotonic() + 30
        while len(seen) < number and time.monotonic() < deadline:
            connection.process_data_events(0.05)
        connection.process_data_events(0.1)
        same(len(seen), number, "deliveries")

    wait(3)
    same([body for _, body in seen], [b"0", b"1", b"2"], "the first three")
    same([method.delivery_tag for method, _ in seen], [1, 2, 3], "their tags")
    channel.basic_ack(2, multiple=True)
    wait(5)
    channel.basic_nack(3, requeue=True)
    wait(6)
    method, body = seen[5]
    same((body, method.redelivered), (b"2", True), "the one that comes again")
    channel.basic_reject(6, requeue=False)
    wait(7)
    same(seen[6][1], b"5", "the one after the rejected")
    assert channel.queue_declare(name, passive=True).method.consumer_count == 1
    channel.basic_cancel(tag)
    # What is unacknowledged stays so, and can be acknowledged.
    channel.basic_ack(4)
    channel.close()
    channel = connection.channel()
    same(drain(channel, name), [b"4", b"5", b"6", b"7", b"8", b"9"], "what came back, in its place")

    # A queue that goes takes its consumers along, and says so.
    gone = []
    channel.add_on_cancel_callback(lambda frame: gone.append(frame.method.consumer_tag))
    tag = channel.basic_consume(name, lambda *_: None)
    connection.channel().queue_delete(name)
    deadline = time.monotonic() + 30
    while not gone and time.monotonic() < deadline:
        connection.process_data_events(0.05)
    same(gone, [tag], "cancelled consumers")
    channel.close()


def dead_letters(connection):
    channel = connection.channel()
    name, dead = PREFIX + "alive", PREFIX + "dead"
    channel.queue_declare(dead)
    channel.queue_declare(name, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    channel.basic_publish("", name, b"x")
    method, _, _ = channel.basic_get(name)
    channel.basic_reject(method.delivery_tag, requeue=False)
    deadline = time.monotonic() + 30
    properties = None
    while properties is None and time.monotonic() < deadline:
        _, properties, _ = channel.basic_get(dead, auto_ack=True)
    (death,) = properties.headers["x-death"]
    found = {key: death[key] for key in ("count", "reason", "queue", "exchange", "routing-keys")}
    expected = {"count": 1, "reason": "rejected", "queue": name, "exchange": "", "routing-keys": [name]}
    same(found, expected, "the death")
    channel.queue_delete(name)
    channel.queue_delete(dead)
    channel.close()


def exchanges(connection):
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue

    def routed(exchange, key, headers=None):
        channel.basic_publish(exchange, key, b"x", pika.BasicProperties(headers=headers))
        return len(drain(channel, queue))

    kinds = {
        "direct": ("a", [("a", None, 1), ("b", None, 0)]),
        "fanout": ("ignored", [("anything", None, 1)]),
        "topic": ("a.*.#", [("a", None, 0), ("a.b", None, 1), ("a.b.c.d", None, 1), ("b.a", None, 0), ("a.", None, 1)]),
    }
    for kind, (pattern, keys) in kinds.items():
        name = PREFIX + kind
        channel.exchange_declare(name, kind)
        channel.exchange_declare(name, kind, passive=True)
        channel.queue_bind(queue, name, pattern)
        for key, headers, number in keys:
            same(routed(name, key, headers), number, f"{kind} {pattern} {key}")
        channel.queue_unbind(queue, name, pattern)
        same(routed(name, keys[0][0]), 0, f"{kind} without its binding")
        channel.exchange_delete(name)
    name = PREFIX + "headers"
    channel.exchange_declare(name, "headers")
    for match, both, one in [("all", 1, 0), ("any", 1, 1)]:
        arguments = {"x-match": match, "a": 1, "b": "two"}
        channel.queue_bind(queue, name, "", arguments)
        same(routed(name, "", {"a": 1, "b": "two", "c": 3}), both, f"{match} of both")
        same(routed(name, "", {"a": 1}), one, f"{match} of one")
        same(routed(name, "", {"a": "1"}), 0, f"{match} of another type")
        channel.queue_unbind(queue, name, "", arguments)
    channel.exchange_delete(name)

    source, target, other = PREFIX + "source", PREFIX + "target", PREFIX + "other"
    channel.exchange_declare(other, "fanout")
    channel.exchange_declare(source, "direct", arguments={"alternate-exchange": other})
    channel.exchange_declare(target, "fanout", internal=True)
    channel.exchange_bind(target, source, "key")
    channel.queue_bind(queue, target)
    same(routed(source, "key"), 1, "from exchange to exchange")
    same(routed(source, "else"), 0, "nothing is bound there")
    channel.queue_bind(queue, other)
    same(routed(source, "else"), 1, "the alternate exchange")
    for name in (source, target, other):
        channel.exchange_delete(name)
    channel.close()


def transactions(connection):
    channel = connection.channel()
    name = PREFIX + "tx"
    channel.queue_declare(name)
    channel.tx_select()
    channel.basic_publish("", name, b"1")
    same(get(channel, name), None, "before the commit")
    channel.tx_commit()
    method, _, body = channel.basic_get(name)
    same(body, b"1", "after the commit")
    channel.basic_ack(method.delivery_tag)
    channel.basic_publish("", name, b"2")
    channel.tx_rollback()
    channel.basic_ack(method.delivery_tag)
    channel.tx_commit()
    channel.close()
    channel = connection.channel()
    same(drain(channel, name), [], "what was rolled back is not there, what was acknowledged is gone")
    channel.queue_delete(name)
    channel.close()


def direct_replies(connection):
    client, server = connection.channel(), connection.channel()
    name = PREFIX + "service"
    server.queue_declare(name)
    answers = []
    client.basic_consume("amq.rabbitmq.reply-to", lambda _c, _m, properties, body: answers.append((properties.correlation_id, body)), auto_ack=True)

    def answer(channel, method, properties, body):
        assert properties.reply_to.startswith("amq.rabbitmq.reply-to."), properties.reply_to
        channel.basic_publish("", properties.reply_to, body.upper(), pika.BasicProperties(correlation_id=properties.correlation_id))
        channel.basic_ack(method.delivery_tag)

    server.basic_consume(name, answer)
    for number in range(5):
        properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=str(number))
        client.basic_publish("", name, b"question", properties)
    deadline = time.monotonic() + 30
    while len(answers) < 5 and time.monotonic() < deadline:
        connection.process_data_events(0.05)
    same(answers, [(str(number), b"QUESTION") for number in range(5)], "the answers")
    server.queue_delete(name)
    client.close()
    server.close()


def errors(connection):
    missing = PREFIX + "missing"
    no_queue = f"NOT_FOUND - no queue '{missing}' in vhost '/'"
    channel_refuses(connection, 404, no_queue, lambda channel: channel.queue_declare(missing, passive=True))
    channel_refuses(connection, 404, no_queue, lambda channel: channel.basic_get(missing))
    channel_refuses(connection, 404, no_queue, lambda channel: channel.basic_consume(missing, print))
    no_exchange = f"NOT_FOUND - no exchange '{missing}' in vhost '/'"
    channel_refuses(connection, 404, no_exchange, lambda channel: channel.basic_publish(missing, "", b""))
    channel_refuses(connection, 404, no_exchange, lambda channel: channel.exchange_declare(missing, passive=True))
    reserved = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"
    channel_refuses(connection, 403, reserved, lambda channel: channel.queue_declare("amq.mine"))
    default = "ACCESS_REFUSED - operation not permitted on the default exchange"
    channel_refuses(connection, 403, default, lambda channel: channel.exchange_delete(""))
    unknown = "PRECONDITION_FAILED - unknown delivery tag 99"
    channel_refuses(connection, 406, unknown, lambda channel: channel.basic_ack(99))
    user = "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'"
    bob = pika.BasicProperties(user_id="bob")
    channel_refuses(connection, 406, user, lambda channel: channel.basic_publish("", missing, b"", bob))
    expiration = "PRECONDITION_FAILED - invalid expiration 'soon': no_integer"
    soon = pika.BasicProperties(expiration="soon")
    channel_refuses(connection, 406, expiration, lambda channel: channel.basic_publish("", missing, b"", soon))

    name = PREFIX + "errors"
    channel = connection.channel()
    channel.queue_declare(name)
    differs = (
        f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{name}' in vhost '/': "
        "received 'true' but current is 'false'"
    )
    channel_refuses(connection, 406, differs, lambda channel: channel.queue_declare(name, durable=True))
    channel.basic_publish("", name, b"x")
    not_empty = f"PRECONDITION_FAILED - queue '{name}' in vhost '/' not empty"
    channel_refuses(connection, 406, not_empty, lambda channel: channel.queue_delete(name, if_empty=True))
    channel.queue_delete(name)
    channel.queue_declare(name, exclusive=True)
    other = connect()
    locked = (
        f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{name}' in vhost '/'. It could be originally "
        "declared on another connection or the exclusive property value does not match that of the original declaration."
    )
    channel_refuses(other, 405, locked[:255], lambda channel: channel.queue_declare(name, exclusive=True))
    other.close()
    channel.close()

    kind = "COMMAND_INVALID - unknown exchange type 'nope'"
    connection_refuses(503, kind, lambda channel: channel.exchange_declare(PREFIX + "kind", "nope"))

    def reuse(channel):
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_consume(queue, print, consumer_tag="t")
        # pika itself refuses a tag that it knows.
        channel._consumer_infos.pop("t")
        channel.connection._impl._channels[channel.channel_number]._consumers.pop("t")
        channel.basic_consume(queue, print, consumer_tag="t")

    connection_refuses(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", reuse)
    try:
        pika.BlockingConnection(parameters(password="wrong"))
    except exceptions.ProbableAuthenticationError as error:
        text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
        assert text in str(error), error
    else:
        raise AssertionError("expected a refusal")
    try:
        pika.BlockingConnection(parameters(host="/nope"))
    except exceptions.ProbableAccessDeniedError as error:
        assert "NOT_ALLOWED - vhost /nope not found" in str(error), error
    else:
        raise AssertionError("expected a refusal")


def main():
    connection = connect()
    steps = [queues, publishes, consumers, dead_letters, exchanges, transactions, direct_replies, errors]
    for step in steps:
        step(connection)
    connection.close()
    print(f"ok pika {pika.__version__}: {len(steps)} steps")


main()
