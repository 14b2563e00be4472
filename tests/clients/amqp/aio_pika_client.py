"""aio_pika_client.py PORT: the asyncio client, many channels at a time."""
import asyncio
import sys
from importlib.metadata import version

import aio_pika
from aio_pika import ExchangeType, Message
from aiormq import exceptions

PORT = int(sys.argv[1])
PREFIX = "aio-pika-"
URL = f"amqp://guest:guest@127.0.0.1:{PORT}/?name=the+test+of+aio-pika"


def same(found, expected, what):
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


async def drain(queue):
    bodies = []
    while (message := await queue.get(fail=False, no_ack=True)) is not None:
        bodies.append(message.body)
    return bodies


async def refused(connection, error, text, action):
    channel = await connection.channel()
    try:
        await action(channel)
    except error as raised:
        assert text in str(raised), raised
    else:
        raise AssertionError(f"expected {text}")


async def publishes(connection):
    """Ten channels publish and consume at a time."""

    async def one(number):
        async with connection.channel() as channel:
            queue = await channel.declare_queue(f"{PREFIX}{number}", auto_delete=True)
            bodies = [f"{number}-{count}".encode() for count in range(200)]
            publishing = [channel.default_exchange.publish(Message(body), queue.name) for body in bodies]
            confirmed = await asyncio.gather(*publishing)
            assert all(confirmation is not None for confirmation in confirmed)
            await channel.set_qos(prefetch_count=7)
            seen = []
            async with queue.iterator() as deliveries:
                async for delivery in deliveries:
                    seen.append(delivery.body)
                    await delivery.ack()
                    if len(seen) == len(bodies):
                        break
            same(sorted(seen), sorted(bodies), "what came")

    await asyncio.gather(*(one(number) for number in range(10)))


async def settlements(connection):
    channel = await connection.channel()
    queue = await channel.declare_queue(PREFIX + "settlements")
    for number in range(3):
        await channel.default_exchange.publish(Message(str(number).encode(), headers={"n": number}), queue.name)
    first = await queue.get()
    same((first.body, first.headers, first.redelivered), (b"0", {"n": 0}, False), "the first")
    await first.nack(requeue=True)
    again = await queue.get()
    same((again.body, again.redelivered), (b"0", True), "the first again")
    await again.reject(requeue=False)
    async with (await queue.get()).process(requeue=True) as message:
        same(message.body, b"1", "the second")
    same(await drain(queue), [b"2"], "the third")
    same((await queue.delete()).message_count, 0, "nothing left")
    await channel.close()


async def exchanges(connection):
    channel = await connection.channel(on_return_raises=True)
    queue = await channel.declare_queue(exclusive=True)
    for kind, key, other in [
        (ExchangeType.DIRECT, "key", "else"),
        (ExchangeType.TOPIC, "a.b", "b.a"),
        (ExchangeType.FANOUT, "", None),
    ]:
        exchange = await channel.declare_exchange(f"{PREFIX}{kind.value}", kind, auto_delete=True)
        await queue.bind(exchange, "a.#" if kind is ExchangeType.TOPIC else key)
        await exchange.publish(Message(b"x"), key)
        same(await drain(queue), [b"x"], kind)
        if other is not None:
            try:
                await exchange.publish(Message(b"x"), other, mandatory=True)
            except exceptions.DeliveryError as error:
                same((error.message.delivery.reply_code, error.message.delivery.reply_text), (312, "NO_ROUTE"), "why it is back")
                same(error.message.body, b"x", "what is back")
            else:
                raise AssertionError("expected the message back")
        await queue.unbind(exchange, "a.#" if kind is ExchangeType.TOPIC else key)
    await channel.close()


async def transactions(connection):
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue(PREFIX + "tx", auto_delete=True)
    async with channel.transaction():
        await channel.default_exchange.publish(Message(b"kept"), queue.name)
    try:
        async with channel.transaction():
            await channel.default_exchange.publish(Message(b"lost"), queue.name)
            raise KeyError
    except KeyError:
        pass
    other = await connection.channel()
    same(await drain(await other.get_queue(queue.name)), [b"kept"], "what was committed")
    await (await other.get_queue(queue.name)).delete()


async def errors(connection):
    missing = PREFIX + "missing"
    no_queue = f"NOT_FOUND - no queue '{missing}' in vhost '/'"
    not_found = exceptions.ChannelNotFoundEntity
    await refused(connection, not_found, no_queue, lambda channel: channel.declare_queue(missing, passive=True))
    reserved = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"
    await refused(connection, exceptions.ChannelAccessRefused, reserved, lambda channel: channel.declare_queue("amq.mine"))
    differs = "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'amq.topic' in vhost '/'"
    failed = exceptions.ChannelPreconditionFailed
    await refused(connection, failed, differs, lambda channel: channel.declare_exchange("amq.topic", ExchangeType.TOPIC))
    try:
        await aio_pika.connect(f"amqp://guest:wrong@127.0.0.1:{PORT}/")
    except exceptions.ProbableAuthenticationError as error:
        assert "ACCESS_REFUSED - Login was refused" in str(error), error
    else:
        raise AssertionError("expected a refusal")


async def main():
    steps = [publishes, settlements, exchanges, transactions, errors]
    connection = await aio_pika.connect(URL)
    for step in steps:
        await asyncio.wait_for(step(connection), 60)
    await connection.close()
    print(f"ok aio-pika {version('aio-pika')}: {len(steps)} steps")


asyncio.run(main())
