"""goodbye.py PORT: consumes until the server says goodbye, and comes back once it is there again."""
import sys
import time

import pika
from pika import exceptions

PORT = int(sys.argv[1])


def connect():
    deadline = time.monotonic() + 60
    while True:
        try:
            return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT))
        except exceptions.AMQPConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main():
    connection = connect()
    channel = connection.channel()
    channel.queue_declare("goodbye", durable=True)
    channel.basic_publish("", "goodbye", b"unacknowledged", pika.BasicProperties(delivery_mode=2))
    channel.basic_consume("goodbye", lambda *_: print("consuming"))
    try:
        channel.start_consuming()
    except exceptions.ConnectionClosedByBroker as closed:
        print("closed", closed.reply_code, closed.reply_text)
    connection = connect()
    method, _, body = connection.channel().basic_get("goodbye", auto_ack=True)
    print("came back", method.redelivered, body.decode())
    connection.close()


main()
