use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream as Client;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::*;
use crate::sdk::WebSocket;
use crate::sdk::websocket::Origins;

const PATIENCE: Duration = Duration::from_secs(30);

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, test).await.expect("it does not hang") })
}

/// An independent client and our end, with room for so many bytes between them.
async fn connected(
    websocket: WebSocket,
    room: usize,
) -> (Client<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (near, far) = duplex(room);
    let door = Door::new(websocket, Vec::new(), Origins::OfThisMachine);
    let request = "ws://localhost/".into_client_request().unwrap();
    let (client, server) =
        tokio::join!(tokio_tungstenite::client_async(request, near), WebSocketStream::accept(far, &door));
    (client.unwrap().0, server.unwrap())
}

#[test]
fn a_stream_of_bytes_goes_both_ways_through_any_room() {
    for room in [7, 100, 100_000] {
        run(async {
            let (client, mut server) = connected(WebSocket::binary(), room).await;
            let echo = async {
                let mut bytes = [0; 50];
                loop {
                    let read = server.read(&mut bytes).await.unwrap();
                    if read == 0 {
                        return;
                    }
                    server.write_all(&bytes[..read]).await.unwrap();
                    server.flush().await.unwrap();
                }
            };
            // At the same time: who does not read what comes back holds the other end up.
            let sent: Vec<Vec<u8>> = [0, 1, 49, 50, 51, 125, 126, 1000].map(|length| vec![7; length]).into();
            let (mut sink, mut stream) = client.split();
            let talk = async {
                let say = async {
                    for message in &sent {
                        sink.send(Message::Binary(message.clone().into())).await.unwrap();
                    }
                };
                let listen = async {
                    let mut got = Vec::new();
                    while got.len() < sent.concat().len() {
                        got.extend_from_slice(&stream.next().await.unwrap().unwrap().into_data());
                    }
                    assert_eq!(got, sent.concat());
                };
                tokio::join!(say, listen);
                sink.close().await.unwrap();
                assert!(matches!(stream.next().await, Some(Ok(Message::Close(_)))));
            };
            tokio::join!(echo, talk);
        });
    }
}

#[test]
fn a_write_is_a_message_and_a_long_one_several() {
    run(async {
        let (mut client, mut server) = connected(WebSocket::binary(), 2 * MESSAGE_BYTES).await;
        server.write_all(b"one").await.unwrap();
        let pieces = [IoSlice::new(b"t"), IoSlice::new(b""), IoSlice::new(b"wo")];
        assert_eq!(server.write_vectored(&pieces).await.unwrap(), 3);
        for whole in [&b"one"[..], b"two"] {
            assert_eq!(client.next().await.unwrap().unwrap(), Message::Binary(whole.to_vec().into()));
        }
        let long = vec![7; MESSAGE_BYTES + 1];
        server.write_all(&long).await.unwrap();
        let first = client.next().await.unwrap().unwrap().into_data();
        let second = client.next().await.unwrap().unwrap().into_data();
        assert_eq!((first.len(), second.len()), (MESSAGE_BYTES, 1));
    });
}

#[test]
fn text_is_sent_as_text_where_it_is_text() {
    run(async {
        let (mut client, mut server) = connected(WebSocket::text(), 1000).await;
        server.write_all("h\u{e9}llo".as_bytes()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::Text("h\u{e9}llo".into()));
        server.write_all(b"\xff").await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::Binary(b"\xff".to_vec().into()));
        // A character that is cut ends a message before it.
        assert_eq!(server.write(b"a\xc3").await.unwrap(), 1);
        assert_eq!(client.next().await.unwrap().unwrap(), Message::Text("a".into()));
        client.send(Message::Text("text".into())).await.unwrap();
        client.send(Message::Binary(b"\xff".to_vec().into())).await.unwrap();
        let mut got = [0; 5];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"text\xff");
    });
}

#[test]
fn a_ping_is_answered_though_nothing_is_written() {
    run(async {
        let (mut client, mut server) = connected(WebSocket::binary(), 1000).await;
        client.send(Message::Ping(b"still there?".to_vec().into())).await.unwrap();
        let mut byte = [0];
        let pong = tokio::select! {
            pong = client.next() => pong.unwrap().unwrap(),
            _read = server.read(&mut byte) => panic!("nothing was sent"),
        };
        assert_eq!(pong, Message::Pong(b"still there?".to_vec().into()));
    });
}

#[test]
fn a_flood_of_pings_takes_no_memory_from_one_that_does_not_read() {
    run(async {
        let (mut near, far) = duplex(200);
        let mut server = WebSocketStream::new(far, Bytes::new(), Messages::Binary);
        let mut ping = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
        ping.extend([b'x'; 125]);
        let flood = async {
            for _ in 0..1000 {
                near.write_all(&ping).await.unwrap();
            }
            // And a byte, to show that it was heard.
            near.write_all(&[0x82, 0x81, 0, 0, 0, 0, b'y']).await.unwrap();
        };
        let mut byte = [0; 100];
        let ((), read) = tokio::join!(flood, server.read(&mut byte));
        assert_eq!((read.unwrap(), byte[0]), (1, b'y'));
        assert!(server.outgoing.len() <= 127 && server.pong.as_ref().is_none_or(|pong| pong.len() == 125));
    });
}

#[test]
fn a_client_that_does_not_read_holds_one_message_at_most() {
    run(async {
        let (client, mut server) = connected(WebSocket::binary(), 100).await;
        let bytes = vec![1; 3 * MESSAGE_BYTES];
        assert_eq!(server.write(&bytes).await.unwrap(), MESSAGE_BYTES);
        let again =
            std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut server).poll_write(cx, &bytes))).await;
        assert!(again.is_pending() && server.outgoing.len() <= MESSAGE_BYTES);
        drop(client);
        assert!(server.write(&bytes).await.is_err());
    });
}

#[test]
fn rfc_7_1_shutting_down_closes_and_what_was_written_arrives() {
    run(async {
        let (mut client, mut server) = connected(WebSocket::binary(), 1000).await;
        server.write_all(b"last words").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(server.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(client.next().await.unwrap().unwrap().into_data(), &b"last words"[..]);
        let Some(Ok(Message::Close(Some(close)))) = client.next().await else { panic!("no close frame") };
        assert_eq!(close.code, CloseCode::Normal);
        // The client's half of the handshake is the end of the stream.
        assert!(client.next().await.is_none_or(|end| end.is_err()));
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    });
}

#[test]
fn rfc_7_1_a_client_that_closes_is_answered_and_read_to_its_end() {
    run(async {
        let (mut client, mut server) = connected(WebSocket::binary(), 1000).await;
        client.feed(Message::Binary(b"bye".to_vec().into())).await.unwrap();
        client.close(None).await.unwrap();
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"bye");
        assert_eq!(server.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(matches!(client.next().await, Some(Ok(Message::Close(_)))));
    });
}

#[test]
fn who_breaks_a_rule_is_told_its_code_and_has_a_while_to_leave() {
    for (bytes, messages, code) in [
        (&[0x82, 0x01, b'x'][..], Messages::Binary, 1002_u16),
        (&[0x82, 0xff, 0, 0, 0, 0, 0x7f, 0, 0, 0], Messages::Binary, 1009),
        (&[0x81, 0x81, 0, 0, 0, 0, b'x'], Messages::Binary, 1003),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], Messages::Text, 1007),
    ] {
        run(async {
            let (mut near, far) = duplex(1000);
            let mut server = WebSocketStream::new(far, Bytes::new(), messages);
            near.write_all(&[0x82, 0x82, 0, 0, 0, 0, b'o', b'k']).await.unwrap();
            near.write_all(bytes).await.unwrap();
            let mut got = [0; 2];
            server.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"ok");
            let mut rest = Vec::new();
            let leaving = async {
                let mut head = [0; 4];
                near.read_exact(&mut head).await.unwrap();
                assert_eq!((head[0], u16::from_be_bytes([head[2], head[3]])), (0x88, code));
                near.write_all(b"whatever").await.unwrap();
                near.shutdown().await.unwrap();
            };
            // Writing waits too: who returns from an error would close the socket at once.
            let (mut reading, mut writing) = tokio::io::split(server);
            let (read, written, ()) =
                tokio::join!(reading.read_to_end(&mut rest), writing.write(b"x"), leaving);
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            match read {
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData),
                Ok(_) => panic!("a broken rule is an error"),
            }
        });
    }
}

#[test]
fn who_breaks_a_rule_and_stays_is_left_behind() {
    run(async {
        let (mut near, far) = duplex(1000);
        let mut server = WebSocketStream::new(far, Bytes::new(), Messages::Binary);
        near.write_all(&[0xc2]).await.unwrap();
        let error = server.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("reserved bits"), "{error}");
    });
}

#[test]
fn what_comes_right_behind_the_handshake_is_read() {
    run(async {
        let (mut near, far) = duplex(2000);
        let request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        near.write_all(request.as_bytes()).await.unwrap();
        near.write_all(&[0x82, 0x83, 0, 0, 0, 0, b'a', b'b', b'c']).await.unwrap();
        let door = Door::new(WebSocket::binary(), Vec::new(), Origins::Any);
        let mut server = WebSocketStream::accept(far, &door).await.unwrap();
        let mut got = [0; 3];
        server.read_exact(&mut got[..1]).await.unwrap();
        server.read_exact(&mut got[1..]).await.unwrap();
        assert_eq!(&got, b"abc");
    });
}

#[test]
fn who_is_refused_reads_why() {
    run(async {
        let (mut near, far) = duplex(2000);
        let door = Door::new(WebSocket::binary().at(&["/mqtt"]), Vec::new(), Origins::Any);
        near.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut response = String::new();
        let (accepted, read) = tokio::join!(WebSocketStream::accept(far, &door), async {
            let read = near.read_to_string(&mut response).await;
            drop(near);
            read
        });
        read.unwrap();
        assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
        assert!(response.contains("takes WebSockets at /mqtt"), "{response}");
        let error = accepted.err().unwrap();
        assert_eq!(error.to_string(), "no WebSocket: no WebSocket at `/` (404 Not Found)");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_reader_and_a_writer_do_not_lose_a_byte(
        writes in prop::collection::vec(0_usize..2000, 1..8),
        reads in prop::collection::vec(0_usize..2000, 1..8),
        room in 8_usize..300,
        is_text in any::<bool>(),
    ) {
        run(async {
            let kind = if is_text { WebSocket::text() } else { WebSocket::binary() };
            let (client, server) = connected(kind, room).await;
            let (mut sink, mut stream) = client.split();
            let (mut reading, mut writing) = tokio::io::split(server);
            let text = |length: usize| "a\u{20ac}".chars().cycle().take(length).collect::<String>();
            let sent: String = writes.iter().map(|length| text(*length)).collect();
            let asked: String = reads.iter().map(|length| text(*length)).collect();
            let server_writes = async {
                for length in &writes {
                    writing.write_all(text(*length).as_bytes()).await.unwrap();
                }
                writing.flush().await.unwrap();
                writing
            };
            let server_reads = async {
                let mut got = vec![0; asked.len()];
                reading.read_exact(&mut got).await.unwrap();
                (got, reading)
            };
            let client_writes = async {
                for length in &reads {
                    sink.feed(Message::Ping(b"p".to_vec().into())).await.unwrap();
                    sink.feed(Message::Binary(text(*length).into_bytes().into())).await.unwrap();
                }
                sink.flush().await.unwrap();
                sink
            };
            let client_reads = async {
                let mut got = Vec::new();
                while got.len() < sent.len() {
                    match stream.next().await.unwrap().unwrap() {
                        Message::Pong(_) => {}
                        message => got.extend_from_slice(&message.into_data()),
                    }
                }
                (got, stream)
            };
            let (_writing, (heard, _reading), _sink, (got, _stream)) =
                tokio::join!(server_writes, server_reads, client_writes, client_reads);
            assert_eq!(heard, asked.as_bytes());
            assert_eq!(got, sent.as_bytes());
        });
    }
}
