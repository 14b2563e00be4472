"""python slow.py PORT: a client that keeps a delivery for longer than the server waits for its acknowledgement."""

import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1])))
slow, other = connection.channel(), connection.channel()
queue = slow.queue_declare("", exclusive=True).method.queue
slow.basic_publish("", queue, b"kept")
kept = []
slow.basic_consume(queue, lambda channel, method, properties, body: kept.append(body))
ended = []
slow._impl.add_on_close_callback(lambda channel, reason: ended.append(reason))
while not ended:
    connection.process_data_events(time_limit=0.1)
assert kept == [b"kept"], kept
assert ended[0].reply_code == 406, ended
assert ended[0].reply_text.startswith(
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1000 ms."
), ended
method, _, body = other.basic_get(queue, auto_ack=True)
assert (method.redelivered, body) == (True, b"kept"), (method, body)
connection.close()
print("ok slow")
