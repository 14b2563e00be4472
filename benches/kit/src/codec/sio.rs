//! socket.io over a bare engine.io WebSocket (`--eio 4` or `--eio 3`).
//! The payload is the JSON array after the packet type: `["event",{...}]`.
//! `--sio-ack 1` adds an ack id to each emit; otherwise answers are found by the send-time marker.
//! A `--join` that is a JSON object is emitted as event `kuzzle`, an array as it is.
use super::{Codec, Ev, Reader, Role, bad, channel};
use crate::opts::Opts;
use std::io;
use tokio::{io::AsyncWriteExt, net::TcpStream};

pub struct Sio {
    ack: bool,
    n: u64,
}

/// A masked client frame; the all-zero key leaves the bytes as they are.
fn frame(out: &mut Vec<u8>, op: u8, parts: &[&[u8]]) {
    let n: usize = parts.iter().map(|p| p.len()).sum();
    out.push(0x80 | op);
    if n < 126 {
        out.push(0x80 | n as u8);
    } else if n < 65536 {
        out.push(0x80 | 126);
        out.extend((n as u16).to_be_bytes());
    } else {
        out.push(0x80 | 127);
        out.extend((n as u64).to_be_bytes());
    }
    out.extend([0; 4]);
    parts.iter().for_each(|p| out.extend(*p));
}

/// (opcode, header length, whole length)
fn head(b: &[u8]) -> Option<(u8, usize, usize)> {
    let (h, n) = match *b.get(1)? & 127 {
        126 => (4, u16::from_be_bytes(b.get(2..4)?.try_into().ok()?) as usize),
        127 => (10, u64::from_be_bytes(b.get(2..10)?.try_into().ok()?) as usize),
        n => (2, n as usize),
    };
    (b.len() >= h + n).then_some((b[0] & 15, h, h + n))
}

pub async fn open(s: &mut TcpStream, o: &Opts, role: &Role) -> io::Result<Sio> {
    let eio = o.n("eio", 4u8);
    let req = format!(
        "GET {}?EIO={eio}&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        o.s("sio-path", "/socket.io/")
    );
    s.write_all(req.as_bytes()).await?;
    let mut r = Reader::new(s);
    let h =
        r.until(|b| b.windows(4).position(|w| w == b"\r\n\r\n").map(|p| (p + 4, b[..p].to_vec()))).await?;
    if !h.starts_with(b"HTTP/1.1 101") {
        return Err(bad(String::from_utf8_lossy(&h)));
    }
    let text = |b: &[u8]| head(b).map(|(_, h, n)| (n, b[h..n].to_vec()));
    r.until(text).await?;
    if eio >= 4 {
        let mut out = Vec::new();
        frame(&mut out, 1, &[b"40"]);
        r.s.write_all(&out).await?;
    }
    while !r.until(text).await?.starts_with(b"40") {}
    if let Some(j) = &role.join {
        let plain = j.starts_with('[');
        let j = if plain { j.clone() } else { format!("[\"kuzzle\",{j}]") };
        let mut out = Vec::new();
        frame(&mut out, 1, &[b"42", j.as_bytes()]);
        r.s.write_all(&out).await?;
        let mut a = Vec::new();
        while !a.starts_with(b"42") && !a.starts_with(b"43") {
            a = r.until(text).await?;
        }
        if !plain {
            channel(&a)?; // the server has put this socket on it
        }
    }
    Ok(Sio { ack: o.n("sio-ack", 0) == 1, n: 0 })
}

impl Codec for Sio {
    fn publish(&mut self, out: &mut Vec<u8>, p: &[u8]) {
        if self.ack {
            self.n += 1;
            frame(out, 1, &[b"42", self.n.to_string().as_bytes(), p]);
        } else {
            frame(out, 1, &[b"42", p]);
        }
    }

    fn parse(&mut self, buf: &[u8], out: &mut Vec<u8>, ev: &mut dyn FnMut(Ev)) -> usize {
        let mut at = 0;
        while let Some((op, h, n)) = head(&buf[at..]) {
            let p = &buf[at + h..at + n];
            match (op, p) {
                (1 | 2, [b'4', b'2' | b'3', ..]) => ev(Ev::Msg(p)),
                (1 | 2, [b'4', b'1' | b'4', ..]) => ev(Ev::Reply(false, p)),
                (1 | 2, b"2") => frame(out, 1, &[b"3"]),
                (9, _) => frame(out, 10, &[p]),
                _ => {}
            }
            at += n;
        }
        at
    }
}
