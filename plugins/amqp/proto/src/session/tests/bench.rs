//! A client, a session and a broker on one bench; the test turns the clock.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::{Bytes, BytesMut};

use super::model::{Event, Model};
use crate::{
    codec::{
        content::{Address, Content, ContentWriter},
        frame::{self, Frame, Payload},
        method::{Method, basic, channel, connection, queue},
        properties::Properties,
        table::{Table, TableBuilder, Value},
    },
    session::{Ending, Limits, LinkEvent, Message, Publish, Received, Session},
};

pub(super) struct Bench {
    pub(super) session: Session,
    pub(super) broker: Model,
    pub(super) now: Duration,
    pub(super) input: BytesMut,
    unread: BytesMut,
    pub(super) frames: VecDeque<Frame>,
    /// Events stay with the broker until this is false.
    pub(super) hold: bool,
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What the common clients say they understand.
pub(super) fn capable() -> Table {
    let capabilities = ["authentication_failure_close", "consumer_cancel_notify", "connection.blocked"]
        .iter()
        .fold(TableBuilder::new(), |table, name| table.field(name, Value::Bool(true)))
        .build();
    TableBuilder::new()
        .field("product", Value::text("bench"))
        .field("capabilities", Value::Table(capabilities.view()))
        .build()
}

pub(super) fn view(message: &Publish) -> Message<'_> {
    Message {
        exchange: &message.exchange,
        routing_key: &message.routing_key,
        properties: &message.properties,
        body: &message.body,
    }
}

impl Bench {
    /// A client that has connected and said nothing.
    pub(super) fn new(limits: Limits) -> Bench {
        let now = secs(1000);
        Bench {
            session: Session::new(Arc::new(limits), Arc::new(AtomicU64::new(1)), 9, now),
            broker: Model::default(),
            now,
            input: BytesMut::new(),
            unread: BytesMut::new(),
            frames: VecDeque::new(),
            hold: false,
        }
    }

    /// A client whose connection is open.
    pub(super) fn open() -> Bench {
        Bench::open_with(Limits::default(), 0)
    }

    pub(super) fn open_with(limits: Limits, heartbeat: u16) -> Bench {
        let mut bench = Bench::new(limits);
        bench.start(capable());
        bench.session.authenticated(Some("guest"), bench.now);
        bench.expect::<connection::Tune>(0);
        bench.send(0, connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat });
        bench.send(0, connection::Open { virtual_host: "/".into(), ..Default::default() });
        bench.session.entered(None, bench.now);
        bench.expect::<connection::OpenOk>(0);
        bench
    }

    /// A client with channel 1 open.
    pub(super) fn channel() -> Bench {
        let mut bench = Bench::open();
        bench.open_channel(1);
        bench
    }

    /// Up to `connection.start-ok`.
    pub(super) fn start(&mut self, client_properties: Table) {
        self.raw(&frame::PROTOCOL_HEADER);
        self.expect::<connection::Start>(0);
        self.send(
            0,
            connection::StartOk {
                client_properties,
                mechanism: "PLAIN".into(),
                response: Bytes::from_static(b"\0guest\0guest"),
                locale: "en_US".into(),
            },
        );
    }

    pub(super) fn open_channel(&mut self, number: u16) {
        self.send(number, channel::Open::default());
        self.expect::<channel::OpenOk>(number);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.run();
    }

    pub(super) fn send(&mut self, channel: u16, method: impl Into<Method>) {
        method.into().encode(channel, &mut self.input);
        self.run();
    }

    pub(super) fn publish(&mut self, channel: u16, key: &str, properties: &Properties<'_>, body: &[u8]) {
        self.put_publish(channel, key, properties, body);
        self.run();
    }

    /// Like `publish`, but the session does not see it yet.
    pub(super) fn put_publish(&mut self, channel: u16, key: &str, properties: &Properties<'_>, body: &[u8]) {
        let properties = properties.to_bytes();
        let mut writer = ContentWriter { out: &mut self.input, channel, frame_max: 131_072 };
        let address = Address { exchange: "", routing_key: key };
        writer.publish(true, address, Content { properties: &properties, body });
    }

    /// Lets shell and broker work until nothing moves.
    pub(super) fn run(&mut self) {
        loop {
            let received = self.session.receive(&mut self.input, self.now);
            let mut moved = received == Received::Interrupted && self.session.wants_input();
            while let Some(action) = self.session.poll_action() {
                moved = true;
                self.broker.perform(action);
                if let Some((link, seq, rest)) = self.broker.not_taken.take() {
                    self.session.not_taken(link, seq, rest);
                }
            }
            let written = self.session.output().len();
            self.unread.extend_from_slice(self.session.output());
            self.session.wrote(written, self.now);
            while !self.hold
                && let Some((link, event)) = self.broker.events.pop_front()
            {
                moved = true;
                self.event(link, &event);
            }
            if !moved && self.session.output().is_empty() {
                break;
            }
        }
        let start = self.unread.starts_with(b"AMQP");
        while !start && let Some(frame) = frame::decode(&mut self.unread, 1 << 20).expect("frames") {
            self.frames.push_back(frame);
        }
    }

    fn event(&mut self, link: u64, event: &Event) {
        let event = match event {
            Event::Answer { op, code, text, messages, consumers } => {
                let (op, code, messages, consumers) = (*op, *code, *messages, *consumers);
                LinkEvent::Answer { op, code, text, messages, consumers }
            }
            Event::Delivery { consumer, delivery, redelivered, settled, message } => LinkEvent::Delivery {
                consumer: *consumer,
                delivery: *delivery,
                redelivered: *redelivered,
                settled: *settled,
                message: view(message),
            },
            Event::Got { op, delivery, redelivered, settled, messages, message } => LinkEvent::Got {
                op: *op,
                delivery: *delivery,
                redelivered: *redelivered,
                settled: *settled,
                messages: *messages,
                message: view(message),
            },
            Event::Confirmed(up_to) => LinkEvent::Confirmed { up_to: *up_to },
            Event::Refused { seq, code, text } => LinkEvent::Refused { seq: *seq, code: *code, text },
            Event::Returned(message) => {
                LinkEvent::Returned { code: 312, text: "NO_ROUTE", message: view(message) }
            }
            Event::Cancelled(consumer) => LinkEvent::Cancelled { consumer: *consumer },
        };
        self.session.link_event(link, event, self.now);
    }

    /// Lets time pass, and the session do what is due.
    pub(super) fn wait(&mut self, pause: Duration) {
        let end = self.now + pause;
        while let Some(due) = self.session.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
        self.run();
    }

    pub(super) fn next(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    pub(super) fn next_method(&mut self) -> Option<(u16, Method)> {
        let frame = self.next()?;
        match &frame.payload {
            Payload::Method(payload) => Some((frame.channel, Method::decode(payload).expect("a method"))),
            other => panic!("{other:?} is no method"),
        }
    }

    /// The next method on the wire, which has to be an `M`.
    pub(super) fn expect<M: TryFromMethod>(&mut self, channel: u16) -> M {
        self.run();
        let (number, method) = self.next_method().expect("a method is sent");
        assert_eq!(number, channel, "{method:?}");
        M::try_from_method(method)
    }

    /// The content behind a method.
    pub(super) fn content(&mut self) -> (Bytes, Vec<u8>) {
        let header = match self.next().map(|frame| frame.payload) {
            Some(Payload::Header(header)) => frame::ContentHeader::decode(&header).expect("a header"),
            other => panic!("{other:?} is no header"),
        };
        let mut body = Vec::new();
        while (body.len() as u64) < header.body_size {
            match self.next().map(|frame| frame.payload) {
                Some(Payload::Body(part)) => body.extend_from_slice(&part),
                other => panic!("{other:?} is no body"),
            }
        }
        (header.properties, body)
    }

    pub(super) fn silent(&mut self) {
        assert_eq!(self.next(), None);
    }

    /// The channel is closed with this code and text; other channels live on.
    pub(super) fn channel_error(&mut self, number: u16, code: u16, text: &str, id: (u16, u16)) {
        let close = self.expect::<channel::Close>(number);
        assert_eq!((close.reply_code, &close.reply_text[..]), (code, text));
        assert_eq!((close.class_id, close.method_id), id);
        self.silent();
        self.publish(number, "ignored", &Properties::default(), b"until close-ok");
        self.silent();
        self.send(number, channel::CloseOk {});
        self.open_channel(number);
        assert_eq!(self.broker.ended, None);
    }

    /// The connection is closed with this code and text.
    pub(super) fn connection_error(&mut self, code: u16, text: &str, id: (u16, u16)) {
        let close = self.expect::<connection::Close>(0);
        assert_eq!((close.reply_code, &close.reply_text[..]), (code, text));
        assert_eq!((close.class_id, close.method_id), id);
        self.send(1, channel::Open::default());
        self.silent();
        assert_eq!(self.broker.ended, None);
        self.send(0, connection::CloseOk {});
        assert_eq!(self.broker.ended, Some(Ending::ClosedByServer(code)));
        self.silent();
    }

    /// Nothing is said, and the client is cut off after a while.
    pub(super) fn refused(&mut self) {
        self.silent();
        assert_eq!(self.broker.ended, None);
        self.wait(secs(2));
        assert_eq!(self.broker.ended, None);
        self.wait(secs(1));
        assert_eq!(self.broker.ended, Some(Ending::Refused));
        self.silent();
    }

    pub(super) fn declare(&mut self, channel: u16, name: &str) -> queue::DeclareOk {
        self.send(channel, queue::Declare { queue: name.into(), ..Default::default() });
        self.expect(channel)
    }

    pub(super) fn consume(&mut self, channel: u16, queue: &str, tag: &str) {
        let method = basic::Consume { queue: queue.into(), consumer_tag: tag.into(), ..Default::default() };
        self.send(channel, method);
        assert_eq!(&self.expect::<basic::ConsumeOk>(channel).consumer_tag[..], tag);
    }

    /// The output as bytes, for what is no frame.
    pub(super) fn bytes(&mut self) -> BytesMut {
        std::mem::take(&mut self.unread)
    }
}

/// A method that may be the expected one.
pub(super) trait TryFromMethod: Sized {
    fn try_from_method(method: Method) -> Self;
}

macro_rules! try_from_method {
    ($($type:path: $variant:ident),* $(,)?) => {$(
        impl TryFromMethod for $type {
            fn try_from_method(method: Method) -> $type {
                match method {
                    Method::$variant(method) => method,
                    other => panic!("{other:?} came instead of {}", stringify!($variant)),
                }
            }
        }
    )*};
}

try_from_method! {
    connection::Start: ConnectionStart,
    connection::Tune: ConnectionTune,
    connection::OpenOk: ConnectionOpenOk,
    connection::Close: ConnectionClose,
    connection::CloseOk: ConnectionCloseOk,
    connection::Blocked: ConnectionBlocked,
    connection::Unblocked: ConnectionUnblocked,
    connection::UpdateSecretOk: ConnectionUpdateSecretOk,
    channel::OpenOk: ChannelOpenOk,
    channel::Close: ChannelClose,
    channel::CloseOk: ChannelCloseOk,
    channel::FlowOk: ChannelFlowOk,
    crate::codec::method::access::RequestOk: AccessRequestOk,
    crate::codec::method::exchange::DeclareOk: ExchangeDeclareOk,
    crate::codec::method::exchange::DeleteOk: ExchangeDeleteOk,
    crate::codec::method::exchange::BindOk: ExchangeBindOk,
    crate::codec::method::exchange::UnbindOk: ExchangeUnbindOk,
    queue::DeclareOk: QueueDeclareOk,
    queue::DeleteOk: QueueDeleteOk,
    queue::PurgeOk: QueuePurgeOk,
    queue::BindOk: QueueBindOk,
    queue::UnbindOk: QueueUnbindOk,
    basic::QosOk: BasicQosOk,
    basic::ConsumeOk: BasicConsumeOk,
    basic::Cancel: BasicCancel,
    basic::CancelOk: BasicCancelOk,
    basic::Deliver: BasicDeliver,
    basic::Return: BasicReturn,
    basic::GetOk: BasicGetOk,
    basic::GetEmpty: BasicGetEmpty,
    basic::Ack: BasicAck,
    basic::Nack: BasicNack,
    basic::RecoverOk: BasicRecoverOk,
    crate::codec::method::confirm::SelectOk: ConfirmSelectOk,
    crate::codec::method::tx::SelectOk: TxSelectOk,
    crate::codec::method::tx::CommitOk: TxCommitOk,
    crate::codec::method::tx::RollbackOk: TxRollbackOk,
}
