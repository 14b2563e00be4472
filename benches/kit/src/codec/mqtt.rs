//! MQTT 3.1.1, QoS 0 and 1.
use super::{Codec, Ev, Reader, Role, bad, channel};
use crate::opts::Opts;
use std::io;
use tokio::{io::AsyncWriteExt, net::TcpStream};

pub struct Mqtt {
    topic: Vec<u8>,
    qos: u8,
    id: u16,
}

fn str16(out: &mut Vec<u8>, s: &[u8]) {
    out.extend((s.len() as u16).to_be_bytes());
    out.extend(s);
}

fn varint(out: &mut Vec<u8>, mut n: usize) {
    loop {
        let b = (n & 127) as u8;
        n >>= 7;
        out.push(if n > 0 { b | 128 } else { b });
        if n == 0 {
            break;
        }
    }
}

/// (header length, whole length) of the packet at the start of `b`.
fn frame(b: &[u8]) -> Option<(usize, usize)> {
    let (mut n, mut i) = (0usize, 1);
    loop {
        let c = *b.get(i)?;
        n |= ((c & 127) as usize) << (7 * (i - 1));
        i += 1;
        if c & 128 == 0 {
            break;
        }
    }
    (b.len() >= i + n).then_some((i, i + n))
}

async fn packet(r: &mut Reader<'_>) -> io::Result<Vec<u8>> {
    r.until(|b| frame(b).map(|(_, n)| (n, b[..n].to_vec()))).await
}

async fn subscribe(r: &mut Reader<'_>, topic: &str, qos: u8) -> io::Result<()> {
    let mut body = vec![0, 1];
    str16(&mut body, topic.as_bytes());
    body.push(qos);
    let mut out = vec![0x82];
    varint(&mut out, body.len());
    out.extend(body);
    r.s.write_all(&out).await?;
    let a = packet(r).await?;
    if a.first() != Some(&0x90) || a.last() == Some(&0x80) {
        return Err(bad(format!("SUBACK {a:?}")));
    }
    Ok(())
}

pub async fn open(s: &mut TcpStream, o: &Opts, role: &Role) -> io::Result<Mqtt> {
    let mut body = Vec::new();
    str16(&mut body, b"MQTT");
    let user = o.s("user", "");
    body.extend([4, if user.is_empty() { 2 } else { 0xC2 }]);
    body.extend(600u16.to_be_bytes());
    str16(&mut body, role.name.as_bytes());
    if !user.is_empty() {
        str16(&mut body, user.as_bytes());
        str16(&mut body, o.s("password", "").as_bytes());
    }
    let mut out = vec![0x10];
    varint(&mut out, body.len());
    out.extend(body);
    s.write_all(&out).await?;
    let mut r = Reader::new(s);
    let a = packet(&mut r).await?;
    if a.len() < 4 || a[3] != 0 {
        return Err(bad(format!("CONNACK {a:?}")));
    }
    let qos = o.n("qos", 0u8);
    let sub_qos = o.n("sub-qos", qos);
    if let Some(j) = &role.join {
        subscribe(&mut r, &format!("mqtt.{}", role.name), 0).await?;
        let mut out = Vec::new();
        Mqtt { topic: b"kuzzle".to_vec(), qos: 0, id: 0 }.publish(&mut out, j.as_bytes());
        r.s.write_all(&out).await?;
        let mut a = Vec::new();
        while a.first().map(|b| b >> 4) != Some(3u8) {
            a = packet(&mut r).await?;
        }
        subscribe(&mut r, channel(&a)?, sub_qos).await?;
    } else if let Some(t) = &role.subscribe {
        subscribe(&mut r, t, sub_qos).await?;
    }
    Ok(Mqtt { topic: role.publish.clone().unwrap_or_default().into_bytes(), qos, id: 0 })
}

impl Codec for Mqtt {
    fn publish(&mut self, out: &mut Vec<u8>, p: &[u8]) {
        out.push(0x30 | self.qos << 1);
        varint(out, 2 + self.topic.len() + if self.qos > 0 { 2 } else { 0 } + p.len());
        str16(out, &self.topic);
        if self.qos > 0 {
            self.id = self.id.checked_add(1).unwrap_or(1);
            out.extend(self.id.to_be_bytes());
        }
        out.extend(p);
    }

    fn parse(&mut self, buf: &[u8], out: &mut Vec<u8>, ev: &mut dyn FnMut(Ev)) -> usize {
        let mut at = 0;
        while let Some((h, n)) = frame(&buf[at..]) {
            let p = &buf[at..at + n];
            match p[0] >> 4 {
                3 => {
                    let mut i = h + 2 + u16::from_be_bytes([p[h], p[h + 1]]) as usize;
                    if p[0] & 6 != 0 {
                        out.extend([0x40, 2, p[i], p[i + 1]]);
                        i += 2;
                    }
                    ev(Ev::Msg(&p[i..]));
                }
                4 => ev(Ev::Ack(1)),
                _ => {}
            }
            at += n;
        }
        at
    }
}
