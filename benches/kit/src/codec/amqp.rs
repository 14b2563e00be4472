//! AMQP 0.9.1 on one channel. `--confirm 1`, `--persistent 1`, `--ack-every N` (0: no-ack),
//! `--prefetch N`; destinations are `queue:NAME`, `fanout:NAME`, `key:EXCHANGE/KEY`, and `own:` for an
//! exclusive queue that the server names. A responder answers on the reply-to queue, or without one as the
//! API does for MQTT: on `amq.topic` under `mqtt.<clientId of the JSON request>`.
use super::{Codec, Ev, Reader, Role, bad, channel, json_str};
use crate::opts::Opts;
use std::io;
use tokio::{io::AsyncWriteExt, net::TcpStream};

pub struct Amqp {
    exchange: Vec<u8>,
    key: Vec<u8>,
    props: Vec<u8>,
    flags: u16,
    acked: u64,
    ack_every: u64,
    since_ack: u64,
    tag: u64,
    left: u64,
    respond: bool,
    reply: (Vec<u8>, Vec<u8>),
}

fn short(out: &mut Vec<u8>, s: &[u8]) {
    out.push(s.len() as u8);
    out.extend(s);
}

fn frame(out: &mut Vec<u8>, kind: u8, ch: u16, f: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend(ch.to_be_bytes());
    let at = out.len();
    out.extend([0; 4]);
    f(out);
    let n = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&n.to_be_bytes());
    out.push(0xCE);
}

fn method(out: &mut Vec<u8>, ch: u16, class: u16, id: u16, f: impl FnOnce(&mut Vec<u8>)) {
    frame(out, 1, ch, |o| {
        o.extend(class.to_be_bytes());
        o.extend(id.to_be_bytes());
        f(o);
    });
}

fn split(b: &[u8]) -> Option<(u8, usize)> {
    let n = u32::from_be_bytes(b.get(3..7)?.try_into().ok()?) as usize;
    (b.len() >= n + 8).then_some((b[0], n + 8))
}

async fn wait(r: &mut Reader<'_>, class: u16, id: u16) -> io::Result<Vec<u8>> {
    loop {
        let f = r.until(|b| split(b).map(|(_, n)| (n, b[..n].to_vec()))).await?;
        if f[0] != 1 {
            continue;
        }
        let got = (u16::from_be_bytes([f[7], f[8]]), u16::from_be_bytes([f[9], f[10]]));
        if got == (class, id) {
            return Ok(f[11..].to_vec());
        }
        if matches!(got, (10, 50) | (20, 40)) {
            return Err(bad(format!("closed: {}", String::from_utf8_lossy(&f[11..]))));
        }
    }
}

/// The body of the next delivery.
async fn delivery(r: &mut Reader<'_>) -> io::Result<Vec<u8>> {
    let (mut body, mut left) = (Vec::new(), None);
    while left.is_none_or(|n| body.len() < n) {
        let f = r.until(|b| split(b).map(|(_, n)| (n, b[..n].to_vec()))).await?;
        let p = &f[7..f.len() - 1];
        match f[0] {
            1 if matches!(p, [0, 10, 0, 50, ..] | [0, 20, 0, 40, ..]) => {
                return Err(bad(format!("closed: {}", String::from_utf8_lossy(&p[4..]))));
            }
            2 => left = Some(u64::from_be_bytes(p[4..12].try_into().unwrap()) as usize),
            3 => body.extend(p),
            _ => {}
        }
    }
    Ok(body)
}

async fn call(
    r: &mut Reader<'_>,
    ch: u16,
    class: u16,
    id: u16,
    ok: u16,
    f: impl FnOnce(&mut Vec<u8>),
) -> io::Result<Vec<u8>> {
    let mut o = Vec::new();
    method(&mut o, ch, class, id, f);
    r.s.write_all(&o).await?;
    wait(r, class, ok).await
}

async fn bind(r: &mut Reader<'_>, queue: &[u8], ex: &[u8], key: &[u8]) -> io::Result<()> {
    call(r, 1, 50, 20, 21, |b| {
        b.extend([0, 0]);
        short(b, queue);
        short(b, ex);
        short(b, key);
        b.extend([0; 5]);
    })
    .await
    .map(drop)
}

pub async fn open(s: &mut TcpStream, o: &Opts, role: &Role) -> io::Result<Amqp> {
    s.write_all(b"AMQP\0\0\x09\x01").await?;
    let r = &mut Reader::new(s);
    wait(r, 10, 10).await?;
    let login = format!("\0{}\0{}", o.s("user", "guest"), o.s("password", "guest"));
    let tune = call(r, 0, 10, 11, 30, |b| {
        b.extend([0; 4]);
        short(b, b"PLAIN");
        b.extend((login.len() as u32).to_be_bytes());
        b.extend(login.as_bytes());
        short(b, b"en_US");
    })
    .await?;
    let mut t = Vec::new();
    method(&mut t, 0, 10, 31, |b| {
        b.extend(&tune[..6]);
        b.extend([0, 0]);
    });
    r.s.write_all(&t).await?;
    call(r, 0, 10, 40, 41, |b| {
        short(b, o.s("vhost", "/").as_bytes());
        b.extend([0, 0]);
    })
    .await?;
    call(r, 1, 20, 10, 11, |b| b.push(0)).await?;
    let persistent = o.n("persistent", 0u8) == 1;
    let ack_every = o.n("ack-every", 1u64);
    let dest = |d: &str| -> (Vec<u8>, Vec<u8>, bool) {
        let (kind, name) = d.split_once(':').unwrap_or(("queue", d));
        match kind {
            "fanout" => (name.as_bytes().to_vec(), Vec::new(), true),
            "key" => {
                let (e, k) = name.split_once('/').unwrap_or(("", name));
                (e.as_bytes().to_vec(), k.as_bytes().to_vec(), false)
            }
            _ => (Vec::new(), name.as_bytes().to_vec(), false),
        }
    };
    let durable = if persistent { 2 } else { 0 };
    let mut queue = Vec::new();
    let subscribe = if role.join.is_some() { Some("own:") } else { role.subscribe.as_deref() };
    for d in [role.publish.as_deref(), subscribe].into_iter().flatten() {
        let (ex, key, fan) = dest(d);
        if fan {
            call(r, 1, 40, 10, 11, |b| {
                b.extend([0, 0]);
                short(b, &ex);
                short(b, b"fanout");
                b.push(4 | durable);
                b.extend([0; 4]);
            })
            .await?;
        } else if ex.is_empty() && !key.is_empty() && o.n("declare", 1u8) == 1 {
            // auto-delete goes with the last consumer; a durable queue stays for its depth to be seen
            call(r, 1, 50, 10, 11, |b| {
                b.extend([0, 0]);
                short(b, &key);
                b.push(durable | if persistent { 0 } else { 8 });
                b.extend([0; 4]);
            })
            .await?;
            queue = key;
        }
    }
    if let Some(d) = subscribe {
        let (ex, key, fan) = dest(d);
        if fan || !ex.is_empty() || key.is_empty() {
            let a = call(r, 1, 50, 10, 11, |b| {
                b.extend([0, 0, 0, 4 | 8]);
                b.extend([0; 4]);
            })
            .await?;
            queue = a[1..1 + a[0] as usize].to_vec();
            if !ex.is_empty() {
                bind(r, &queue, &ex, &key).await?;
            }
        } else {
            queue = key;
        }
        if ack_every > 0 {
            let p = o.n("prefetch", 250u16).max(ack_every as u16);
            call(r, 1, 60, 10, 11, |b| {
                b.extend([0; 4]);
                b.extend(p.to_be_bytes());
                b.push(0);
            })
            .await?;
        }
        call(r, 1, 60, 20, 21, |b| {
            b.extend([0, 0]);
            short(b, &queue);
            short(b, b"");
            b.push(if ack_every == 0 { 2 } else { 0 });
            b.extend([0; 4]);
        })
        .await?;
    }
    if let Some(j) = &role.join {
        let mut props = vec![1];
        short(&mut props, &queue);
        let mut out = Vec::new();
        basic_publish(&mut out, b"amq.topic", b"kuzzle", 0x1200, &props, j.as_bytes());
        r.s.write_all(&out).await?;
        let a = delivery(r).await?;
        if ack_every > 0 {
            let mut out = Vec::new();
            method(&mut out, 1, 60, 80, |b| {
                b.extend(1u64.to_be_bytes());
                b.push(0);
            });
            r.s.write_all(&out).await?;
        }
        let c = channel(&a)?;
        bind(r, &queue, b"amq.topic", c.as_bytes()).await?;
    }
    if o.n("confirm", 0) == 1 && role.publish.is_some() {
        call(r, 1, 85, 10, 11, |b| b.push(0)).await?;
    }
    let (exchange, key, _) = dest(role.publish.as_deref().unwrap_or("queue:none"));
    let (mut flags, mut props) = (0x1000u16, vec![if persistent { 2 } else { 1 }]);
    if o.n("reply-to", 0u8) == 1 {
        flags |= 0x0600;
        short(&mut props, b"c");
        short(&mut props, &queue);
    }
    Ok(Amqp {
        exchange,
        key: o.all("publish-key").last().map(|k| k.as_bytes().to_vec()).unwrap_or(key),
        props,
        flags,
        acked: 0,
        ack_every,
        since_ack: 0,
        tag: 0,
        left: 0,
        respond: role.respond,
        reply: Default::default(),
    })
}

fn basic_publish(out: &mut Vec<u8>, exchange: &[u8], key: &[u8], flags: u16, props: &[u8], p: &[u8]) {
    method(out, 1, 60, 40, |b| {
        b.extend([0, 0]);
        short(b, exchange);
        short(b, key);
        b.push(0);
    });
    frame(out, 2, 1, |b| {
        b.extend([0, 60, 0, 0]);
        b.extend((p.len() as u64).to_be_bytes());
        b.extend(flags.to_be_bytes());
        b.extend(props);
    });
    frame(out, 3, 1, |b| b.extend(p));
}

/// (reply-to, correlation-id) of a content header.
fn reply_of(h: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let flags = u16::from_be_bytes([h[12], h[13]]);
    let mut i = 14;
    let (mut to, mut corr) = (Vec::new(), Vec::new());
    for bit in [0x8000u16, 0x4000, 0x2000, 0x1000, 0x0800, 0x0400, 0x0200] {
        if flags & bit == 0 {
            continue;
        }
        if bit == 0x2000 {
            i += 4 + u32::from_be_bytes(h[i..i + 4].try_into().unwrap()) as usize;
            continue;
        }
        if matches!(bit, 0x1000 | 0x0800) {
            i += 1;
            continue;
        }
        let v = h[i + 1..i + 1 + h[i] as usize].to_vec();
        i += 1 + v.len();
        match bit {
            0x0400 => corr = v,
            0x0200 => to = v,
            _ => {}
        }
    }
    (to, corr)
}

impl Codec for Amqp {
    fn publish(&mut self, out: &mut Vec<u8>, p: &[u8]) {
        basic_publish(out, &self.exchange, &self.key, self.flags, &self.props, p);
    }

    fn parse(&mut self, buf: &[u8], out: &mut Vec<u8>, ev: &mut dyn FnMut(Ev)) -> usize {
        let mut at = 0;
        while let Some((kind, n)) = split(&buf[at..]) {
            let p = &buf[at + 7..at + n - 1];
            at += n;
            match kind {
                1 => match (u16::from_be_bytes([p[0], p[1]]), u16::from_be_bytes([p[2], p[3]])) {
                    (60, 60) => {
                        let i = 5 + p[4] as usize;
                        self.tag = u64::from_be_bytes(p[i..i + 8].try_into().unwrap());
                    }
                    (60, 80) => {
                        let t = u64::from_be_bytes(p[4..12].try_into().unwrap());
                        let n = if p[12] & 1 == 1 { t.saturating_sub(self.acked) } else { 1 };
                        self.acked += n;
                        ev(Ev::Ack(n));
                    }
                    (10, 50) | (20, 40) => {
                        ev(Ev::Reply(false, &p[4..]));
                    }
                    _ => {}
                },
                2 => {
                    self.left = u64::from_be_bytes(p[4..12].try_into().unwrap());
                    if self.respond {
                        self.reply = reply_of(p);
                    }
                }
                3 => {
                    if self.respond {
                        let (to, corr) = &self.reply;
                        let mut props = vec![1];
                        short(&mut props, corr);
                        if to.is_empty() {
                            let key = format!("mqtt.{}", json_str(p, "clientId").unwrap_or("undefined"));
                            basic_publish(out, b"amq.topic", key.as_bytes(), 0x1400, &props, p);
                        } else {
                            basic_publish(out, b"", to, 0x1400, &props, p);
                        }
                    } else {
                        ev(Ev::Msg(p));
                    }
                    self.left = self.left.saturating_sub(p.len() as u64);
                    if self.left == 0 && self.ack_every > 0 {
                        self.since_ack += 1;
                        if self.since_ack >= self.ack_every {
                            method(out, 1, 60, 80, |b| {
                                b.extend(self.tag.to_be_bytes());
                                b.push((self.ack_every > 1) as u8);
                            });
                            self.since_ack = 0;
                        }
                    }
                }
                8 => out.extend([8, 0, 0, 0, 0, 0, 0, 0xCE]),
                _ => {}
            }
        }
        at
    }
}
