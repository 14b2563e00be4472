//! kbench: the load generator. It speaks each protocol over raw sockets on one thread and prints one JSON line a run.
mod codec;
mod hist;
mod opts;
mod sys;

use codec::{Codec, Ev, Role, Template};
use hist::Hist;
use opts::Opts;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, Write},
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, Notify},
    task::{LocalSet, spawn_local},
};

thread_local!(static EPOCH: Instant = Instant::now());

fn now() -> u64 {
    EPOCH.with(|e| e.elapsed().as_nanos() as u64)
}

/// Counters of the whole run.
struct Totals {
    measuring: Cell<bool>,
    sent: Cell<u64>,
    recv: Cell<u64>,
    acks: Cell<u64>,
    errors: Cell<u64>,
    lost: Cell<u64>,
    /// Text that every answer and delivery must contain.
    ok: Vec<u8>,
    /// The first error.
    why: RefCell<String>,
    lat: RefCell<Hist>,
    ack_lat: RefCell<Hist>,
}

impl Totals {
    fn fail(&self, why: impl FnOnce() -> String) {
        bump(&self.errors, 1);
        let mut w = self.why.borrow_mut();
        if w.is_empty() {
            *w = why();
            eprintln!("{w}");
        }
    }

    fn check(&self, p: &[u8]) {
        if !self.ok.is_empty() && codec::find(p, &self.ok).is_none() {
            self.fail(|| format!("unexpected: {}", String::from_utf8_lossy(p)));
        }
    }
}

fn bump(c: &Cell<u64>, n: u64) {
    c.set(c.get() + n);
}

/// Messages on their way between a set of publishers and their subscribers.
struct Flow {
    out: Cell<i64>,
    limit: i64,
    fan: i64,
    last: Cell<u64>,
    /// Some messages were given up; they may still come.
    late: Cell<bool>,
    room: Notify,
}

impl Flow {
    fn new(window: i64, fan: i64) -> Rc<Self> {
        Rc::new(Flow {
            out: Cell::new(0),
            limit: window * fan.max(1),
            fan,
            last: Cell::new(0),
            late: Cell::new(false),
            room: Notify::new(),
        })
    }
}

struct Conn {
    codec: RefCell<Box<dyn Codec>>,
    w: Mutex<OwnedWriteHalf>,
    /// Send times of what waits for an acknowledgement or a reply.
    pending: RefCell<VecDeque<u64>>,
    acked: Notify,
    /// What comes in is what was published; otherwise it answers this connection's own requests.
    deliver: bool,
    flow: Rc<Flow>,
    /// Flow of what this connection receives.
    inflow: Rc<Flow>,
}

/// Name of connection `id`: `{c}` in requests and destinations.
fn name(id: usize) -> String {
    format!("kb{:x}n{id}", std::process::id())
}

async fn connect(
    o: &Opts,
    mut role: Role,
    id: usize,
    flow: Rc<Flow>,
    inflow: Rc<Flow>,
) -> io::Result<(Rc<Conn>, OwnedReadHalf)> {
    let (addr, proto) = (o.s("addr", "127.0.0.1:7511"), o.s("proto", "http"));
    let mut s = TcpStream::connect(addr).await.map_err(|e| codec::bad(format!("{addr}: {e}")))?;
    s.set_nodelay(true)?;
    role.name = name(id);
    if let (Some(_), false, Some(j)) = (&role.subscribe, role.respond, o.all("join").last()) {
        role.join = Some(j.replace("{c}", &role.name));
    }
    for d in [&mut role.publish, &mut role.subscribe].into_iter().flatten() {
        *d = d.replace("{n}", &id.to_string()).replace("{c}", &role.name);
    }
    let open = tokio::time::timeout(Duration::from_secs(20), codec::open(proto, &mut s, o, &role));
    let c = open.await.map_err(|_| codec::bad(format!("{addr}: no answer to the {proto} handshake")))??;
    let (r, w) = s.into_split();
    // a socket.io server without rooms sends to the publisher too
    let deliver = role.subscribe.is_some() || (proto == "sio" && o.all("join").is_empty());
    let c = Conn {
        codec: RefCell::new(c),
        w: Mutex::new(w),
        pending: Default::default(),
        acked: Notify::new(),
        deliver,
        flow,
        inflow,
    };
    Ok((Rc::new(c), r))
}

async fn read_loop(c: Rc<Conn>, mut r: OwnedReadHalf, t: Rc<Totals>) {
    let mut buf = Vec::with_capacity(256 << 10);
    let mut out = Vec::new();
    loop {
        match r.read_buf(&mut buf).await {
            Ok(n) if n > 0 => {}
            e => {
                t.fail(|| format!("connection closed by the server: {e:?}"));
                return;
            }
        }
        let at = now();
        let on = t.measuring.get();
        let (mut got, mut acks) = (0, 0);
        let n = c.codec.borrow_mut().parse(&buf, &mut out, &mut |e| match e {
            Ev::Msg(p) if !c.deliver => {
                acks += 1;
                if let (Some(s), true) = (c.pending.borrow_mut().pop_front(), on) {
                    t.ack_lat.borrow_mut().add(at.saturating_sub(s));
                }
                if on {
                    t.check(p);
                }
            }
            Ev::Msg(p) => match codec::sent_at(p) {
                Some(s) => {
                    got += 1;
                    if on {
                        t.lat.borrow_mut().add(at.saturating_sub(s));
                        t.check(p);
                    }
                }
                None => {
                    if on {
                        t.fail(|| format!("no marker in: {}", String::from_utf8_lossy(p)));
                    }
                }
            },
            Ev::Ack(k) => {
                acks += k;
                for _ in 0..k {
                    if let (Some(s), true) = (c.pending.borrow_mut().pop_front(), on) {
                        t.ack_lat.borrow_mut().add(at.saturating_sub(s));
                    }
                }
            }
            Ev::Reply(ok, text) => {
                let (n, lat) = if c.deliver { (&mut got, &t.lat) } else { (&mut acks, &t.ack_lat) };
                *n += 1;
                if let (Some(s), true) = (c.pending.borrow_mut().pop_front(), on) {
                    lat.borrow_mut().add(at.saturating_sub(s));
                }
                if on && !ok {
                    t.fail(|| String::from_utf8_lossy(text).into_owned());
                }
            }
        });
        buf.drain(..n);
        if on {
            bump(&t.recv, got);
            bump(&t.acks, acks);
        }
        if got > 0 {
            let f = &c.inflow;
            if c.flow.fan == 1 && got as i64 > f.out.get() && !f.late.get() {
                t.fail(|| "more came back than was sent".into());
            }
            f.out.set((f.out.get() - got as i64).max(0));
            f.last.set(at);
            f.room.notify_waiters();
        }
        if acks > 0 {
            c.acked.notify_waiters();
        }
        if !out.is_empty() {
            let o = std::mem::take(&mut out);
            if c.w.lock().await.write_all(&o).await.is_err() {
                return;
            }
        }
    }
}

struct Publisher {
    templates: Vec<Template>,
    rate: f64,
    /// 0: unbounded
    ack_window: usize,
    track: bool,
    keys: u64,
    base: u64,
}

async fn publish_loop(c: Rc<Conn>, t: Rc<Totals>, mut p: Publisher, batch: u64) -> io::Result<()> {
    let mut seq = 0u64;
    let mut out = Vec::new();
    let timer =
        if p.rate > 0.0 { Some(sys::Ticker::new(Duration::from_secs_f64(1.0 / p.rate))?) } else { None };
    let (start, mut done) = (now(), 0u64);
    loop {
        let mut n = match &timer {
            Some(t) => t.tick().await,
            None => batch,
        };
        if timer.is_none() {
            loop {
                // Register before looking, so that no wake-up is missed.
                let (room, acked) = (c.flow.room.notified(), c.acked.notified());
                tokio::pin!(room, acked);
                room.as_mut().enable();
                acked.as_mut().enable();
                let a =
                    if c.flow.fan > 0 { (c.flow.limit - c.flow.out.get()) / c.flow.fan } else { i64::MAX };
                let b = if p.ack_window > 0 {
                    p.ack_window as i64 - c.pending.borrow().len() as i64
                } else {
                    i64::MAX
                };
                if a.min(b) > 0 {
                    n = n.min(a.min(b) as u64);
                    break;
                }
                let r = tokio::time::timeout(Duration::from_millis(1000), async {
                    tokio::select! { _ = &mut room => {}, _ = &mut acked => {} }
                });
                if r.await.is_err() && c.flow.out.get() > 0 && now() - c.flow.last.get() > 1_000_000_000 {
                    if t.measuring.get() {
                        bump(&t.lost, c.flow.out.get() as u64);
                    }
                    c.flow.out.set(0);
                    c.flow.late.set(true);
                }
            }
        }
        let clock = now();
        {
            let mut codec = c.codec.borrow_mut();
            for _ in 0..n {
                done += 1;
                let at = if p.rate > 0.0 {
                    (start + (done as f64 * 1e9 / p.rate) as u64).min(clock)
                } else {
                    clock
                };
                let k = p.templates.len() as u64;
                let i = p.base + (seq / k) % p.keys;
                let tpl = &mut p.templates[(seq % k) as usize];
                seq += 1;
                codec.publish(&mut out, tpl.fill(at, i));
                if p.track {
                    c.pending.borrow_mut().push_back(at);
                }
            }
        }
        c.flow.out.set(c.flow.out.get() + n as i64 * c.flow.fan);
        if t.measuring.get() {
            bump(&t.sent, n);
        }
        c.w.lock().await.write_all(&out).await?;
        out.clear();
        if timer.is_none() {
            tokio::task::yield_now().await;
        }
    }
}

fn dest(proto: &str, o: &Opts, layout: &str, i: usize, run: u32) -> String {
    if let Some(d) = o.all("dest").last() {
        return d.to_string();
    }
    match (proto, layout) {
        ("amqp", "fanout") => format!("fanout:kb.{run}.{i}"),
        ("amqp", _) => format!("queue:kb.{run}.{i}"),
        ("stomp", "queue") => format!("/queue/kb.{run}.{i}"),
        ("stomp", _) => format!("/topic/kb.{run}.{i}"),
        _ => format!("kb/{run}/{i}"),
    }
}

async fn bench(o: Opts) -> io::Result<()> {
    let proto = o.s("proto", "http").to_string();
    let (pubs, subs): (usize, usize) = (o.n("pubs", 1), o.n("subs", 1));
    let layout = o.s("layout", if proto == "http" || proto == "tcp" { "pair" } else { "fanout" }).to_string();
    let (window, rate): (i64, f64) = (o.n("window", 200), o.n("rate", 0.0));
    let (warm, dur): (f64, f64) = (o.n("warmup", 1.0), o.n("dur", 5.0));
    let size: usize = o.n("size", 200);
    let run = std::process::id();
    let t = Rc::new(Totals {
        measuring: Cell::new(false),
        sent: Cell::new(0),
        recv: Cell::new(0),
        acks: Cell::new(0),
        errors: Cell::new(0),
        lost: Cell::new(0),
        ok: o.s("ok", "").as_bytes().to_vec(),
        why: Default::default(),
        lat: RefCell::new(Hist::new()),
        ack_lat: RefCell::new(Hist::new()),
    });
    let default = if proto == "sio" { r#"["m","{T}{pad}"]"# } else { "{T}{pad}" };
    let templates = |c: &str| -> Vec<Template> {
        let mut r = o.all("req");
        if r.is_empty() {
            r.push(if proto == "http" { "GET /" } else { default });
        }
        let make = if proto == "http" { codec::request } else { Template::new };
        r.iter().map(|r| make(&r.replace("{c}", c), size)).collect()
    };
    let acks = (proto == "mqtt" && o.n("qos", 0) == 1) || o.n("confirm", 0) == 1 || o.n("receipt", 0) == 1;

    // Who receives, and who sends.
    let mut senders = Vec::new();
    let spawn_reader = |c: &Rc<Conn>, r| {
        spawn_local(read_loop(c.clone(), r, t.clone()));
    };
    let none = Flow::new(1, 0);
    // a publisher that receives no deliveries is paced by the answers to its requests
    let answered = layout != "pair" && (proto == "http" || (proto == "sio" && !o.all("join").is_empty()));
    // the API's stand-in behind a broker: answers the requests that arrive on its topic
    if let Some((p, addr)) = o.s("responder", "").split_once('=') {
        let role = Role { subscribe: Some("key:amq.topic/kuzzle".into()), respond: true, ..Role::default() };
        let (c, r) =
            connect(&o.with(&[("proto", p), ("addr", addr)]), role, 1000, none.clone(), none.clone()).await?;
        spawn_reader(&c, r);
    }
    match layout.as_str() {
        // each connection talks to itself
        "pair" => {
            for i in 0..pubs {
                let f = Flow::new(window, 1);
                let d = dest(&proto, &o, "pair", i, run);
                let back = o.s("reply-dest", &d).to_string();
                let role = Role { publish: Some(d), subscribe: Some(back), ..Role::default() };
                let (c, r) = connect(&o, role, i, f.clone(), f).await?;
                spawn_reader(&c, r);
                senders.push((i, c));
            }
        }
        // each connection asks the queue `kb.rpc`, responders answer on its reply queue
        "rpc" => {
            let asked = o.s("dest", "queue:kb.rpc").to_string();
            for i in 0..o.n("responders", 1) {
                let role = Role { subscribe: Some(asked.clone()), respond: true, ..Role::default() };
                let (c, r) = connect(&o, role, 1000 + i, none.clone(), none.clone()).await?;
                spawn_reader(&c, r);
            }
            let key = asked.strip_prefix("queue:").unwrap_or(&asked);
            let o2 = o.with(&[("reply-to", "1"), ("publish-key", key)]);
            for i in 0..pubs {
                let f = Flow::new(window, 1);
                let own = format!("queue:kb.{run}.reply.{i}");
                let role = Role { publish: Some(own.clone()), subscribe: Some(own), ..Role::default() };
                let (c, r) = connect(&o2, role, i, f.clone(), f).await?;
                spawn_reader(&c, r);
                senders.push((i, c));
            }
        }
        // p2p: publisher i to subscriber i; queue: all to one, shared; fanout: all to all
        l => {
            let p2p = l == "p2p";
            let n = if p2p { pubs } else { 1 };
            let fan = if subs == 0 {
                0
            } else if l == "fanout" {
                subs as i64
            } else {
                1
            };
            let flows: Vec<_> =
                (0..n).map(|_| Flow::new(if p2p { window } else { window * pubs as i64 }, fan)).collect();
            let via: Vec<Opts> = o
                .all("sub")
                .iter()
                .filter_map(|s| s.split_once('='))
                .map(|(p, a)| o.with(&[("proto", p), ("addr", a)]))
                .collect();
            for j in 0..if p2p { pubs } else { subs } {
                let d = dest(&proto, &o, l, if p2p { j } else { 0 }, run);
                let role = Role { subscribe: Some(d), ..Role::default() };
                let so = if via.is_empty() { &o } else { &via[j % via.len()] };
                let (c, r) = connect(so, role, 5000 + j, none.clone(), flows[j % n].clone()).await?;
                spawn_reader(&c, r);
            }
            for i in 0..pubs {
                let d = dest(&proto, &o, l, if p2p { i } else { 0 }, run);
                let role = Role { publish: Some(d), ..Role::default() };
                let f = flows[i % n].clone();
                let back = if proto == "sio" { f.clone() } else { none.clone() };
                let (c, r) = connect(&o, role, i, f, back).await?;
                spawn_reader(&c, r);
                senders.push((i, c));
            }
        }
    }
    let k = senders.len();
    for (i, c) in &senders {
        let keys = o.n("keys", 1000u64);
        let p = Publisher {
            templates: templates(&name(*i)),
            rate: rate / k as f64,
            ack_window: if (acks || answered) && rate == 0.0 {
                o.n("ack-window", window as usize)
            } else {
                0
            },
            track: acks || answered || proto == "http",
            keys,
            base: *i as u64 * keys,
        };
        let (c, t) = (c.clone(), t.clone());
        let batch = o.n("batch", 32);
        spawn_local(async move {
            if let Err(e) = publish_loop(c, t.clone(), p, batch).await {
                t.fail(|| format!("publisher: {e}"));
            }
        });
    }
    tokio::time::sleep(Duration::from_secs_f64(warm)).await;
    let pids = o.pids();
    let snap = || (Instant::now(), sys::cpu_self(), sys::cpu_of(&pids), sys::cpu_machine());
    let a = snap();
    t.measuring.set(true);
    tokio::time::sleep(Duration::from_secs_f64(dur)).await;
    t.measuring.set(false);
    let b = snap();
    let secs = (b.0 - a.0).as_secs_f64();
    let (own, srv) = (b.1 - a.1, b.2 - a.2);
    let work = t.recv.get().max(t.acks.get()).max(if subs == 0 { t.sent.get() } else { 0 });
    let (l, al) = (t.lat.borrow(), t.ack_lat.borrow());
    let mut j = format!(
        "{{\"name\":\"{}\",\"target\":\"{}\",\"proto\":\"{proto}\",\"layout\":\"{layout}\",\"pubs\":{pubs},\"subs\":{subs},\"rate\":{rate},\"size\":{size},\
         \"sent_s\":{:.0},\"recv_s\":{:.0},\"acks_s\":{:.0},\"errors\":{},\"lost\":{}",
        o.s("name", &proto),
        o.s("target", ""),
        t.sent.get() as f64 / secs,
        t.recv.get() as f64 / secs,
        t.acks.get() as f64 / secs,
        t.errors.get(),
        t.lost.get()
    );
    for (p, h) in [("", &l), ("ack_", &al)] {
        if h.len() > 0 {
            j += &format!(
                ",\"{p}p50_us\":{:.0},\"{p}p90_us\":{:.0},\"{p}p99_us\":{:.0},\"{p}p999_us\":{:.0},\"{p}max_us\":{:.0}",
                h.q(0.5),
                h.q(0.9),
                h.q(0.99),
                h.q(0.999),
                h.max_us()
            );
        }
    }
    j += &format!(
        ",\"gen_cpu\":{:.2},\"srv_cpu\":{:.2},\"other_cpu\":{:.2},\"srv_us_per_msg\":{:.2},\"srv_mem_mb\":{:.1}}}",
        own / secs,
        srv / secs,
        ((b.3 - a.3) - own - srv).max(0.0) / secs,
        if work > 0 { srv * 1e6 / work as f64 } else { 0.0 },
        sys::mem_of(&pids)
    );
    let mut why = t.why.borrow().clone();
    if work == 0 && why.is_empty() {
        why = "nothing came back".into();
    }
    if !why.is_empty() {
        let plain = |c: char| if c.is_control() || c == '"' || c == '\\' { '\'' } else { c };
        j.insert_str(
            j.len() - 1,
            &format!(",\"failed\":\"{}\"", why.chars().map(plain).take(300).collect::<String>()),
        );
    }
    println!("{j}");
    std::process::exit(if why.is_empty() { 0 } else { 3 })
}

/// Memory that `--conns N` idle, subscribed connections cost the server.
async fn conns(o: Opts) -> io::Result<()> {
    let n: usize = o.n("conns", 1000);
    let pids = o.pids();
    let proto = o.s("proto", "mqtt").to_string();
    let none = Flow::new(1, 0);
    let before = sys::mem_of(&pids);
    let (at, cpu) = (Instant::now(), sys::cpu_of(&pids));
    let mut held = Vec::new();
    for chunk in (0..n).collect::<Vec<_>>().chunks(50) {
        let mut js = Vec::new();
        for i in chunk.iter().copied() {
            let (o, none, proto) = (o.clone(), none.clone(), proto.clone());
            js.push(spawn_local(async move {
                let d = dest(&proto, &o, if proto == "amqp" { "fanout" } else { "topic" }, i, 0);
                let bare = o.n("bare", 0) == 1;
                let role = Role { subscribe: (!bare).then_some(d), ..Role::default() };
                connect(&o, role, i, none.clone(), none).await
            }));
        }
        for j in js {
            held.push(j.await.expect("task")?);
        }
    }
    let took = at.elapsed().as_secs_f64();
    let cpu = sys::cpu_of(&pids) - cpu;
    tokio::time::sleep(Duration::from_secs_f64(o.n("settle", 3.0))).await;
    let after = sys::mem_of(&pids);
    println!(
        "{{\"name\":\"{}\",\"target\":\"{}\",\"proto\":\"{proto}\",\"conns\":{n},\"conn_s\":{:.0},\"srv_us_per_conn\":{:.0},\"mem_before_mb\":{before:.1},\"mem_after_mb\":{after:.1},\"kb_per_conn\":{:.1}}}",
        o.s("name", "conns"),
        o.s("target", ""),
        n as f64 / took,
        cpu * 1e6 / n as f64,
        (after - before) * 1024.0 / n as f64
    );
    drop(held);
    std::process::exit(0)
}

/// Echo server for `--proto tcp`: the ceiling of any server on this machine, and of this generator.
async fn echo(o: Opts) -> io::Result<()> {
    let l = tokio::net::TcpListener::bind(o.s("addr", "127.0.0.1:18099")).await?;
    loop {
        let (mut s, _) = l.accept().await?;
        s.set_nodelay(true)?;
        spawn_local(async move {
            let mut b = vec![0; 64 << 10];
            while let Ok(n @ 1..) = s.read(&mut b).await {
                if s.write_all(&b[..n]).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Appends of `--size` bytes, each made durable: `--threads` writers, `--mode shared` with one fsync for all that wait.
fn fsync(o: Opts) -> io::Result<()> {
    use std::sync::{Arc, Condvar, Mutex};
    let (size, threads, dur): (usize, usize, f64) = (o.n("size", 256), o.n("threads", 1), o.n("dur", 5.0));
    let path = format!("{}/kbench-fsync.{}", o.s("dir", "."), std::process::id());
    let mut f = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
    if o.n("prealloc", 0) == 1 {
        f = std::fs::OpenOptions::new().write(true).open(&path)?;
        f.write_all(&vec![0; 64 << 20])?;
        f.sync_all()?;
        use std::io::Seek;
        f.rewind()?;
    }
    // (next sequence number, synced up to, buffer)
    let st = Arc::new((Mutex::new((0u64, 0u64, Vec::<u8>::new())), Condvar::new(), Condvar::new()));
    let stop = Instant::now() + Duration::from_secs_f64(dur);
    let writers: Vec<_> = (0..threads)
        .map(|_| {
            let st = st.clone();
            std::thread::spawn(move || {
                let mut lat = Vec::new();
                while Instant::now() < stop {
                    let at = Instant::now();
                    let mut g = st.0.lock().unwrap();
                    g.0 += 1;
                    let me = g.0;
                    g.2.extend(std::iter::repeat_n(b'x', size));
                    st.1.notify_one();
                    while g.1 < me {
                        g = st.2.wait(g).unwrap();
                    }
                    drop(g);
                    lat.push(at.elapsed().as_nanos() as u64);
                }
                lat
            })
        })
        .collect();
    let mut syncs = 0u64;
    while Instant::now() < stop + Duration::from_millis(200) {
        let (upto, buf) = {
            let mut g = st.0.lock().unwrap();
            if g.2.is_empty() {
                g = st.1.wait_timeout(g, Duration::from_millis(50)).unwrap().0;
            }
            (g.0, std::mem::take(&mut g.2))
        };
        if buf.is_empty() {
            continue;
        }
        f.write_all(&buf)?;
        f.sync_data()?;
        syncs += 1;
        st.0.lock().unwrap().1 = upto;
        st.2.notify_all();
    }
    let mut h = Hist::new();
    for w in writers {
        w.join().unwrap().into_iter().for_each(|v| h.add(v));
    }
    std::fs::remove_file(&path)?;
    println!(
        "{{\"name\":\"fsync\",\"size\":{size},\"threads\":{threads},\"writes_s\":{:.0},\"syncs_s\":{:.0},\"p50_us\":{:.0},\"p99_us\":{:.0},\"max_us\":{:.0}}}",
        h.len() as f64 / dur,
        syncs as f64 / dur,
        h.q(0.5),
        h.q(0.99),
        h.max_us()
    );
    Ok(())
}

fn main() {
    now();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (cmd, rest) = args.split_first().map(|(c, r)| (c.as_str(), r)).unwrap_or(("", &[]));
    let o = Opts::parse(rest);
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let r = match cmd {
        "run" => rt.block_on(LocalSet::new().run_until(bench(o))),
        "conns" => rt.block_on(LocalSet::new().run_until(conns(o))),
        "echo" => rt.block_on(LocalSet::new().run_until(echo(o))),
        "fsync" => fsync(o),
        _ => {
            eprintln!("kbench run|conns|echo|fsync --key value ... (see README.md)");
            std::process::exit(2)
        }
    };
    if let Err(e) = r {
        eprintln!("kbench: {e}");
        std::process::exit(1)
    }
}
