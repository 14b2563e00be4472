//! The methods: every one of the specification and RabbitMQ's extensions, in both directions.
//!
//! Each class is a module, each method a struct of its fields in the order of the wire. Texts are short strings, `Bytes`
//! are long strings, consecutive `bool`s share an octet. The fields that the specification calls `reserved-n` are kept,
//! since clients put something there and the decoding has to agree with other implementations.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    frame,
    table::Table,
    wire::{Field, Malformed, Reader, Writer},
};

/// A method frame that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MethodError {
    /// The class does not exist.
    UnknownClass(u16),
    /// The class has no such method.
    UnknownMethod {
        /// Number of the class.
        class: u16,
        /// Number that no method of the class has.
        method: u16,
        /// What follows the two numbers.
        arguments: Bytes,
    },
    /// The arguments are not those of the method.
    Arguments {
        /// Number of the class.
        class: u16,
        /// Number of the method.
        method: u16,
        /// What follows the two numbers.
        arguments: Bytes,
        /// What is wrong with them.
        cause: Malformed,
    },
}

macro_rules! methods {
    ($(
        $(#[$class_doc:meta])*
        $class:ident $Class:ident = $class_id:literal {$(
            $(#[$doc:meta])*
            $Method:ident $Variant:ident = $id:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }
        )*}
    )*) => {
        $(
            $(#[$class_doc])*
            pub mod $class {
                use super::*;

                /// Number of the class.
                pub const CLASS: u16 = $class_id;

                $(
                    $(#[$doc])*
                    #[derive(Debug, Clone, Default, PartialEq, Eq)]
                    pub struct $Method {
                        $(
                            #[doc = concat!("The specification's `", stringify!($field), "`.")]
                            $(#[$field_doc])*
                            pub $field: $type,
                        )*
                    }

                    impl $Method {
                        /// Number of the method within its class.
                        pub const METHOD: u16 = $id;
                    }

                    impl From<$Method> for Method {
                        fn from(method: $Method) -> Method {
                            Method::$Variant(method)
                        }
                    }
                )*
            }
        )*

        /// Any method.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Method {
            $($(
                $(#[$doc])*
                $Variant($class::$Method),
            )*)*
        }

        impl Method {
            /// Numbers of the class and of the method.
            #[must_use]
            pub fn id(&self) -> (u16, u16) {
                match self {
                    $($(Method::$Variant(_) => ($class_id, $id),)*)*
                }
            }

            /// Reads the payload of a method frame; texts and tables share its memory.
            ///
            /// # Errors
            /// When there is no such method or the arguments are not its.
            pub fn decode(payload: &Bytes) -> Result<Method, MethodError> {
                let Some(&[c1, c0, m1, m0]) = payload.first_chunk::<4>() else {
                    return Err(MethodError::UnknownClass(0));
                };
                let (class, method) = (u16::from_be_bytes([c1, c0]), u16::from_be_bytes([m1, m0]));
                // Shared only where something is wrong: most methods have nothing to share.
                let arguments = || payload.slice(4..);
                let read = match (class, method) {
                    $($(
                        ($class_id, $id) => {
                            let read = |reader: &mut Reader<'_>| {
                                let _ = &reader;
                                Ok($class::$Method { $($field: Field::read(reader)?),* })
                            };
                            whole(payload, read).map(Method::$Variant)
                        }
                    )*)*
                    $(($class_id, _) => return Err(MethodError::UnknownMethod { class, method, arguments: arguments() }),)*
                    _ => return Err(MethodError::UnknownClass(class)),
                };
                read.map_err(|cause| MethodError::Arguments { class, method, arguments: arguments(), cause })
            }

            /// One of each method, with fields of the sampler's choice.
            #[cfg(test)]
            pub(crate) fn samples(sampler: &mut super::tests::Sampler) -> Vec<Method> {
                vec![$($(
                    $class::$Method {
                        $($field: super::tests::Sample::sample(sampler, stringify!($field))),*
                    }.into(),
                )*)*]
            }

            /// Appends the method as a frame to `out`.
            pub fn encode(&self, channel: u16, out: &mut BytesMut) {
                frame::put_with(out, frame::METHOD, channel, |out| {
                    let (class, method) = self.id();
                    out.put_u16(class);
                    out.put_u16(method);
                    let mut writer = Writer::new(out);
                    match self {
                        $($(
                            Method::$Variant($class::$Method { $($field),* }) => {
                                let _ = &writer;
                                $($field.write(&mut writer);)*
                            }
                        )*)*
                    }
                });
            }
        }
    };
}

fn whole<T>(
    payload: &Bytes,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let mut reader = Reader::new(payload, 4);
    let method = read(&mut reader)?;
    reader.finish()?;
    Ok(method)
}

methods! {
    /// The connection itself; its methods travel on channel 0.
    connection Connection = 10 {
        /// The server introduces itself and offers mechanisms.
        Start ConnectionStart = 10 {
            version_major: u8, version_minor: u8, server_properties: Table,
            /// Names, separated by spaces.
            mechanisms: Bytes,
            /// Names, separated by spaces.
            locales: Bytes,
        }
        /// The client introduces itself and its user.
        StartOk ConnectionStartOk = 11 {
            client_properties: Table, mechanism: ByteString,
            /// What it holds is up to the mechanism.
            response: Bytes,
            locale: ByteString,
        }
        /// The server asks on.
        Secure ConnectionSecure = 20 { challenge: Bytes }
        /// The client answers `Secure`.
        SecureOk ConnectionSecureOk = 21 { response: Bytes }
        /// The server proposes limits.
        Tune ConnectionTune = 30 {
            channel_max: u16,
            /// Octets of a whole frame.
            frame_max: u32,
            /// Seconds.
            heartbeat: u16,
        }
        /// The client settles the limits.
        TuneOk ConnectionTuneOk = 31 {
            channel_max: u16,
            /// Octets of a whole frame.
            frame_max: u32,
            /// Seconds; 0: none.
            heartbeat: u16,
        }
        /// The client chooses a virtual host.
        Open ConnectionOpen = 40 { virtual_host: ByteString, capabilities: ByteString, insist: bool }
        /// The connection is ready.
        OpenOk ConnectionOpenOk = 41 { known_hosts: ByteString }
        /// Either peer ends the connection, and says why.
        Close ConnectionClose = 50 {
            reply_code: u16, reply_text: ByteString,
            /// Of the method that failed, else 0.
            class_id: u16,
            /// Of the method that failed, else 0.
            method_id: u16,
        }
        /// The end of the connection is agreed.
        CloseOk ConnectionCloseOk = 51 {}
        /// The server stops reading, because it is short of something. RabbitMQ's.
        Blocked ConnectionBlocked = 60 { reason: ByteString }
        /// The server reads on. RabbitMQ's.
        Unblocked ConnectionUnblocked = 61 {}
        /// The client renews what it authenticated with. RabbitMQ's.
        UpdateSecret ConnectionUpdateSecret = 70 { new_secret: Bytes, reason: ByteString }
        /// Answers `UpdateSecret`. RabbitMQ's.
        UpdateSecretOk ConnectionUpdateSecretOk = 71 {}
    }

    /// Channels: independent sequences of methods within a connection.
    channel Channel = 20 {
        /// Opens a channel.
        Open ChannelOpen = 10 { out_of_band: ByteString }
        /// The channel is open.
        OpenOk ChannelOpenOk = 11 { channel_id: Bytes }
        /// Asks the peer to stop or resume sending contents.
        Flow ChannelFlow = 20 { active: bool }
        /// Answers `Flow`.
        FlowOk ChannelFlowOk = 21 { active: bool }
        /// Either peer ends the channel, and says why.
        Close ChannelClose = 40 {
            reply_code: u16, reply_text: ByteString,
            /// Of the method that failed, else 0.
            class_id: u16,
            /// Of the method that failed, else 0.
            method_id: u16,
        }
        /// The end of the channel is agreed.
        CloseOk ChannelCloseOk = 41 {}
    }

    /// Access tickets: left over from 0-8, asked for by old clients.
    access Access = 30 {
        /// Asks for a ticket.
        Request AccessRequest = 10 {
            realm: ByteString, exclusive: bool, passive: bool, active: bool, write: bool, read: bool,
        }
        /// Grants a ticket, which nothing looks at.
        RequestOk AccessRequestOk = 11 { ticket: u16 }
    }

    /// Exchanges.
    exchange Exchange = 40 {
        /// Makes an exchange, or asks whether it is there.
        Declare ExchangeDeclare = 10 {
            ticket: u16, exchange: ByteString, kind: ByteString, passive: bool, durable: bool, auto_delete: bool,
            internal: bool, nowait: bool, arguments: Table,
        }
        /// Answers `Declare`.
        DeclareOk ExchangeDeclareOk = 11 {}
        /// Removes an exchange.
        Delete ExchangeDelete = 20 { ticket: u16, exchange: ByteString, if_unused: bool, nowait: bool }
        /// Answers `Delete`.
        DeleteOk ExchangeDeleteOk = 21 {}
        /// Binds an exchange to an exchange. RabbitMQ's.
        Bind ExchangeBind = 30 {
            ticket: u16, destination: ByteString, source: ByteString, routing_key: ByteString, nowait: bool,
            arguments: Table,
        }
        /// Answers `Bind`. RabbitMQ's.
        BindOk ExchangeBindOk = 31 {}
        /// Removes such a binding. RabbitMQ's.
        Unbind ExchangeUnbind = 40 {
            ticket: u16, destination: ByteString, source: ByteString, routing_key: ByteString, nowait: bool,
            arguments: Table,
        }
        /// Answers `Unbind`; the number is RabbitMQ's, and so is its distance.
        UnbindOk ExchangeUnbindOk = 51 {}
    }

    /// Queues.
    queue Queue = 50 {
        /// Makes a queue, or asks whether it is there.
        Declare QueueDeclare = 10 {
            ticket: u16, queue: ByteString, passive: bool, durable: bool, exclusive: bool, auto_delete: bool,
            nowait: bool, arguments: Table,
        }
        /// Answers `Declare`.
        DeclareOk QueueDeclareOk = 11 { queue: ByteString, message_count: u32, consumer_count: u32 }
        /// Binds a queue to an exchange.
        Bind QueueBind = 20 {
            ticket: u16, queue: ByteString, exchange: ByteString, routing_key: ByteString, nowait: bool,
            arguments: Table,
        }
        /// Answers `Bind`.
        BindOk QueueBindOk = 21 {}
        /// Drops the messages that wait in a queue.
        Purge QueuePurge = 30 { ticket: u16, queue: ByteString, nowait: bool }
        /// Answers `Purge`.
        PurgeOk QueuePurgeOk = 31 { message_count: u32 }
        /// Removes a queue.
        Delete QueueDelete = 40 {
            ticket: u16, queue: ByteString, if_unused: bool, if_empty: bool, nowait: bool,
        }
        /// Answers `Delete`.
        DeleteOk QueueDeleteOk = 41 { message_count: u32 }
        /// Removes a binding.
        Unbind QueueUnbind = 50 {
            ticket: u16, queue: ByteString, exchange: ByteString, routing_key: ByteString, arguments: Table,
        }
        /// Answers `Unbind`.
        UnbindOk QueueUnbindOk = 51 {}
    }

    /// Messages: publishing, consuming, acknowledging.
    basic Basic = 60 {
        /// Limits what is on its way unacknowledged.
        Qos BasicQos = 10 { prefetch_size: u32, prefetch_count: u16, global: bool }
        /// Answers `Qos`.
        QosOk BasicQosOk = 11 {}
        /// Starts a consumer.
        Consume BasicConsume = 20 {
            ticket: u16, queue: ByteString, consumer_tag: ByteString, no_local: bool, no_ack: bool,
            exclusive: bool, nowait: bool, arguments: Table,
        }
        /// Answers `Consume`.
        ConsumeOk BasicConsumeOk = 21 { consumer_tag: ByteString }
        /// Ends a consumer; from the server: its queue is gone (RabbitMQ's).
        Cancel BasicCancel = 30 { consumer_tag: ByteString, nowait: bool }
        /// Answers `Cancel`.
        CancelOk BasicCancelOk = 31 { consumer_tag: ByteString }
        /// Publishes the content that follows.
        Publish BasicPublish = 40 {
            ticket: u16, exchange: ByteString, routing_key: ByteString, mandatory: bool, immediate: bool,
        }
        /// Returns the content that follows: nobody was there to get it.
        Return BasicReturn = 50 {
            reply_code: u16, reply_text: ByteString, exchange: ByteString, routing_key: ByteString,
        }
        /// Delivers the content that follows to a consumer.
        Deliver BasicDeliver = 60 {
            consumer_tag: ByteString, delivery_tag: u64, redelivered: bool, exchange: ByteString,
            routing_key: ByteString,
        }
        /// Asks for one message.
        Get BasicGet = 70 { ticket: u16, queue: ByteString, no_ack: bool }
        /// Answers `Get` with the content that follows.
        GetOk BasicGetOk = 71 {
            delivery_tag: u64, redelivered: bool, exchange: ByteString, routing_key: ByteString,
            message_count: u32,
        }
        /// Answers `Get`: the queue is empty.
        GetEmpty BasicGetEmpty = 72 { cluster_id: ByteString }
        /// Acknowledges deliveries; from the server: publishes (RabbitMQ's).
        Ack BasicAck = 80 { delivery_tag: u64, multiple: bool }
        /// Refuses one delivery.
        Reject BasicReject = 90 { delivery_tag: u64, requeue: bool }
        /// `Recover` without an answer.
        RecoverAsync BasicRecoverAsync = 100 { requeue: bool }
        /// Asks for everything unacknowledged to be delivered again.
        Recover BasicRecover = 110 { requeue: bool }
        /// Answers `Recover`.
        RecoverOk BasicRecoverOk = 111 {}
        /// Refuses deliveries; from the server: publishes. RabbitMQ's.
        Nack BasicNack = 120 { delivery_tag: u64, multiple: bool, requeue: bool }
    }

    /// Publisher confirms. RabbitMQ's.
    confirm Confirm = 85 {
        /// From here on each publish on the channel is acknowledged.
        Select ConfirmSelect = 10 { nowait: bool }
        /// Answers `Select`.
        SelectOk ConfirmSelectOk = 11 {}
    }

    /// Transactions: publishes and acknowledgements of one channel, done at once or not at all.
    tx Tx = 90 {
        /// From here on publishes and acknowledgements wait for a commit.
        Select TxSelect = 10 {}
        /// Answers `Select`.
        SelectOk TxSelectOk = 11 {}
        /// Does what was collected.
        Commit TxCommit = 20 {}
        /// Answers `Commit`.
        CommitOk TxCommitOk = 21 {}
        /// Forgets what was collected.
        Rollback TxRollback = 30 {}
        /// Answers `Rollback`.
        RollbackOk TxRollbackOk = 31 {}
    }
}
