"""api.py PORT: requests to the API over AMQP, answered over a direct reply, a queue, and a topic."""
import json
import sys
import time

import pika

PORT = int(sys.argv[1])


def same(found, expected, what):
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


def main():
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT))
    channel = connection.channel()
    channel.confirm_delivery()
    answers = []

    def take(_channel, _method, properties, body):
        answers.append((properties, json.loads(body)))

    def ask(request, **properties):
        channel.basic_publish("amq.topic", "kuzzle", json.dumps(request), pika.BasicProperties(**properties), mandatory=True)

    def wait(what):
        deadline = time.monotonic() + 30
        while not answers and time.monotonic() < deadline:
            connection.process_data_events(0.05)
        assert answers, f"waited for {what} in vain"
        return answers.pop(0)

    direct = "amq.rabbitmq.reply-to"
    channel.basic_consume(direct, take, auto_ack=True)
    document = {"index": "amqp", "collection": "c", "controller": "write", "action": "createOrReplace"}
    ask({**document, "_id": "one", "body": {"n": 1}, "requestId": "r-1"}, reply_to=direct)
    _, answer = wait("the direct answer")
    same((answer["status"], answer["error"], answer["result"]["_id"]), (200, None, "one"), "what was stored")
    same(answer["result"]["requestId"], "r-1", "the request's own id")

    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_consume(queue, take, auto_ack=True)
    ask({**document, "controller": "read", "action": "get", "_id": "one"}, reply_to=queue, correlation_id="c-2")
    properties, answer = wait("the answer in a queue")
    same(answer["result"]["_source"], {"n": 1}, "what is read")
    assert properties.correlation_id == "c-2", properties

    topic = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(topic, "amq.topic", "mqtt.somebody")
    channel.basic_consume(topic, take, auto_ack=True)
    ask({"controller": "read", "action": "now", "clientId": "somebody"})
    _, answer = wait("the answer by topic")
    same(answer["status"], 200, "the time")

    ask({"controller": "nope", "action": "nope"}, reply_to=queue)
    _, answer = wait("the refusal")
    same(answer["status"], 400, "an unknown controller")
    channel.basic_publish("amq.topic", "kuzzle", b"{ no JSON", pika.BasicProperties(reply_to=queue))
    _, answer = wait("the answer to what is no JSON")
    same(answer["status"], 400, "what is no JSON")
    connection.close()
    print("ok api: 5 requests")


main()
