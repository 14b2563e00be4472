//! STOMP 1.2 over TCP; `--receipt` asks for a receipt per SEND, `--ack client-individual` acks.
use super::{Codec, Ev, Reader, Role, bad, channel};
use crate::opts::Opts;
use std::io;
use tokio::{io::AsyncWriteExt, net::TcpStream};

pub struct Stomp {
    head: Vec<u8>,
    receipt: bool,
    ack: bool,
    n: u64,
}

struct Frame<'a> {
    head: &'a [u8],
    body: &'a [u8],
    len: usize,
}

fn frame(b: &[u8]) -> Option<Frame<'_>> {
    let skip = b.iter().take_while(|c| **c == b'\n' || **c == b'\r').count();
    let f = &b[skip..];
    let (mut i, mut len) = (0, None);
    loop {
        let e = i + f[i..].iter().position(|c| *c == b'\n')?;
        let l = &f[i..e];
        i = e + 1;
        if l.is_empty() || l == b"\r" {
            break;
        }
        if let Some(v) = l.strip_prefix(b"content-length:") {
            len = std::str::from_utf8(v).ok()?.trim().parse::<usize>().ok();
        }
    }
    let n = match len {
        Some(n) => (f.len() > i + n).then_some(n)?,
        None => f[i..].iter().position(|c| *c == 0)?,
    };
    Some(Frame { head: &f[..i], body: &f[i..i + n], len: skip + i + n + 1 })
}

fn header<'a>(h: &'a [u8], k: &[u8]) -> Option<&'a [u8]> {
    h.split(|c| *c == b'\n').find_map(|l| l.strip_prefix(k))
}

pub async fn open(s: &mut TcpStream, o: &Opts, role: &Role) -> io::Result<Stomp> {
    let c = format!(
        "CONNECT\naccept-version:1.0,1.1,1.2\nhost:{}\nlogin:{}\npasscode:{}\nheart-beat:0,0\n\n\0",
        o.s("vhost", "/"),
        o.s("user", "guest"),
        o.s("password", "guest")
    );
    s.write_all(c.as_bytes()).await?;
    let mut r = Reader::new(s);
    let reply = async |r: &mut Reader<'_>, want: &str| -> io::Result<Vec<u8>> {
        let (h, b) = r.until(|b| frame(b).map(|f| (f.len, (f.head.to_vec(), f.body.to_vec())))).await?;
        if h.starts_with(want.as_bytes()) {
            return Ok(b);
        }
        Err(bad(format!("wanted {want}, got {}{}", String::from_utf8_lossy(&h), String::from_utf8_lossy(&b))))
    };
    reply(&mut r, "CONNECTED").await?;
    let mode = o.s("ack", "auto");
    let headers = |k| o.s(k, "").replace("\\n", "\n").replace("{c}", &role.name);
    let subscribe =
        async |r: &mut Reader<'_>, id: &str, dest: &str, mode: &str, headers: &str| -> io::Result<()> {
            let f = format!("SUBSCRIBE\nid:{id}\ndestination:{dest}\nack:{mode}\n{headers}receipt:sub\n\n\0");
            r.s.write_all(f.as_bytes()).await?;
            reply(r, "RECEIPT").await.map(drop)
        };
    if let Some(j) = &role.join {
        let own = format!("/queue/{}", role.name);
        subscribe(&mut r, "answer", &own, "auto", "durable:false\nauto-delete:true\nexclusive:true\n")
            .await?;
        let f = format!(
            "SEND\ndestination:/exchange/amq.topic/kuzzle\nreply-to:{}\ncontent-length:{}\n\n{j}\0",
            role.name,
            j.len()
        );
        r.s.write_all(f.as_bytes()).await?;
        let a = reply(&mut r, "MESSAGE").await?;
        subscribe(&mut r, "0", &format!("/topic/{}", channel(&a)?), mode, &headers("sub-headers")).await?;
    } else if let Some(t) = &role.subscribe {
        subscribe(&mut r, "0", t, mode, &headers("sub-headers")).await?;
    }
    let head = format!(
        "SEND\ndestination:{}\n{}",
        role.publish.as_deref().unwrap_or("/topic/none"),
        headers("send-headers")
    );
    Ok(Stomp { head: head.into_bytes(), receipt: o.n("receipt", 0) == 1, ack: mode != "auto", n: 0 })
}

impl Codec for Stomp {
    fn publish(&mut self, out: &mut Vec<u8>, p: &[u8]) {
        out.extend(&self.head);
        self.n += 1;
        if self.receipt {
            out.extend(format!("receipt:{}\n", self.n).as_bytes());
        }
        out.extend(format!("content-length:{}\n\n", p.len()).as_bytes());
        out.extend(p);
        out.push(0);
    }

    fn parse(&mut self, buf: &[u8], out: &mut Vec<u8>, ev: &mut dyn FnMut(Ev)) -> usize {
        let mut at = 0;
        while let Some(f) = frame(&buf[at..]) {
            if f.head.starts_with(b"MESSAGE") {
                if self.ack {
                    if let Some(id) = header(f.head, b"ack:") {
                        out.extend(b"ACK\nid:");
                        out.extend(id);
                        out.extend(b"\n\n\0");
                    }
                }
                ev(Ev::Msg(f.body));
            } else if f.head.starts_with(b"RECEIPT") {
                ev(Ev::Ack(1));
            } else if f.head.starts_with(b"ERROR") {
                ev(Ev::Reply(false, f.head));
            }
            at += f.len;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let f = frame(b"\nMESSAGE\ncontent-length:3\n\na\0b\0").unwrap();
        assert_eq!((f.body, f.len), (&b"a\0b"[..], 31));
        assert!(frame(b"MESSAGE\ncontent-length:3\n\na\0b").is_none());
        assert_eq!(frame(b"MESSAGE\r\n\r\nhi\0").unwrap().body, b"hi");
    }
}
