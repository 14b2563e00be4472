//! Reason codes of MQTT 5.0 (section 2.4).

use super::PacketType;

/// How an operation ended. Below 0x80 it went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ReasonCode {
    /// 0x00: done; in DISCONNECT: normal disconnection; in SUBACK: QoS 0 granted.
    Success = 0x00,
    /// 0x01: the subscription is accepted with QoS 1 at most.
    GrantedQoS1 = 0x01,
    /// 0x02: the subscription is accepted with QoS 2 at most.
    GrantedQoS2 = 0x02,
    /// 0x04: the client leaves and wants its will published.
    DisconnectWithWill = 0x04,
    /// 0x10: the message is taken, and nobody subscribes to it.
    NoMatchingSubscribers = 0x10,
    /// 0x11: nothing to unsubscribe from.
    NoSubscriptionExisted = 0x11,
    /// 0x18: another step of authentication follows.
    ContinueAuthentication = 0x18,
    /// 0x19: the client authenticates again.
    ReAuthenticate = 0x19,
    /// 0x80: an error that has no code or must not be told.
    UnspecifiedError = 0x80,
    /// 0x81: a packet could not be read.
    MalformedPacket = 0x81,
    /// 0x82: a packet came out of order or says what it may not.
    ProtocolError = 0x82,
    /// 0x83: a valid packet that this server does not take.
    ImplementationSpecificError = 0x83,
    /// 0x84: no such version here.
    UnsupportedProtocolVersion = 0x84,
    /// 0x85: a client identifier that may not be used.
    ClientIdentifierNotValid = 0x85,
    /// 0x86: no such user, or not its password.
    BadUserNameOrPassword = 0x86,
    /// 0x87: the user may not do this.
    NotAuthorized = 0x87,
    /// 0x88: the server cannot serve now.
    ServerUnavailable = 0x88,
    /// 0x89: the server has too much to do; later.
    ServerBusy = 0x89,
    /// 0x8A: the client was barred by an operator.
    Banned = 0x8A,
    /// 0x8B: the server goes down.
    ServerShuttingDown = 0x8B,
    /// 0x8C: an authentication method that is not offered, or not the one of CONNECT.
    BadAuthenticationMethod = 0x8C,
    /// 0x8D: nothing came within one and a half keep alives.
    KeepAliveTimeout = 0x8D,
    /// 0x8E: another connection uses the client identifier.
    SessionTakenOver = 0x8E,
    /// 0x8F: well formed, and no topic filter here.
    TopicFilterInvalid = 0x8F,
    /// 0x90: well formed, and no topic name here.
    TopicNameInvalid = 0x90,
    /// 0x91: the packet identifier is taken.
    PacketIdentifierInUse = 0x91,
    /// 0x92: the packet identifier is not known.
    PacketIdentifierNotFound = 0x92,
    /// 0x93: more unacknowledged messages than allowed.
    ReceiveMaximumExceeded = 0x93,
    /// 0x94: a topic alias of 0 or above the maximum.
    TopicAliasInvalid = 0x94,
    /// 0x95: a packet larger than allowed.
    PacketTooLarge = 0x95,
    /// 0x96: messages come too fast.
    MessageRateTooHigh = 0x96,
    /// 0x97: a limit that the server sets is met.
    QuotaExceeded = 0x97,
    /// 0x98: an operator closed the connection.
    AdministrativeAction = 0x98,
    /// 0x99: the payload is not what its format indicator says.
    PayloadFormatInvalid = 0x99,
    /// 0x9A: no retained messages here.
    RetainNotSupported = 0x9A,
    /// 0x9B: no such QoS here.
    QoSNotSupported = 0x9B,
    /// 0x9C: another server, for now.
    UseAnotherServer = 0x9C,
    /// 0x9D: another server, for good.
    ServerMoved = 0x9D,
    /// 0x9E: no shared subscriptions here.
    SharedSubscriptionsNotSupported = 0x9E,
    /// 0x9F: connections come too fast.
    ConnectionRateExceeded = 0x9F,
    /// 0xA0: the connection has lasted as long as it may.
    MaximumConnectTime = 0xA0,
    /// 0xA1: no subscription identifiers here.
    SubscriptionIdentifiersNotSupported = 0xA1,
    /// 0xA2: no wildcards here.
    WildcardSubscriptionsNotSupported = 0xA2,
}

impl ReasonCode {
    /// The code of that number; `None` where the specification has none.
    #[must_use]
    pub fn from_u8(value: u8) -> Option<ReasonCode> {
        use ReasonCode::*;
        Some(match value {
            0x00 => Success,
            0x01 => GrantedQoS1,
            0x02 => GrantedQoS2,
            0x04 => DisconnectWithWill,
            0x10 => NoMatchingSubscribers,
            0x11 => NoSubscriptionExisted,
            0x18 => ContinueAuthentication,
            0x19 => ReAuthenticate,
            0x80 => UnspecifiedError,
            0x81 => MalformedPacket,
            0x82 => ProtocolError,
            0x83 => ImplementationSpecificError,
            0x84 => UnsupportedProtocolVersion,
            0x85 => ClientIdentifierNotValid,
            0x86 => BadUserNameOrPassword,
            0x87 => NotAuthorized,
            0x88 => ServerUnavailable,
            0x89 => ServerBusy,
            0x8A => Banned,
            0x8B => ServerShuttingDown,
            0x8C => BadAuthenticationMethod,
            0x8D => KeepAliveTimeout,
            0x8E => SessionTakenOver,
            0x8F => TopicFilterInvalid,
            0x90 => TopicNameInvalid,
            0x91 => PacketIdentifierInUse,
            0x92 => PacketIdentifierNotFound,
            0x93 => ReceiveMaximumExceeded,
            0x94 => TopicAliasInvalid,
            0x95 => PacketTooLarge,
            0x96 => MessageRateTooHigh,
            0x97 => QuotaExceeded,
            0x98 => AdministrativeAction,
            0x99 => PayloadFormatInvalid,
            0x9A => RetainNotSupported,
            0x9B => QoSNotSupported,
            0x9C => UseAnotherServer,
            0x9D => ServerMoved,
            0x9E => SharedSubscriptionsNotSupported,
            0x9F => ConnectionRateExceeded,
            0xA0 => MaximumConnectTime,
            0xA1 => SubscriptionIdentifiersNotSupported,
            0xA2 => WildcardSubscriptionsNotSupported,
            _ => return None,
        })
    }

    /// Whether the operation failed.
    #[must_use]
    pub fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether `packet` may carry the code (table 2-6 of section 2.4).
    #[must_use]
    pub fn fits(self, packet: PacketType) -> bool {
        use PacketType::*;
        use ReasonCode::*;
        match self {
            Success => matches!(
                packet,
                ConnAck | PubAck | PubRec | PubRel | PubComp | UnsubAck | Auth | Disconnect | SubAck
            ),
            GrantedQoS1 => matches!(packet, SubAck),
            GrantedQoS2 => matches!(packet, SubAck),
            DisconnectWithWill => matches!(packet, Disconnect),
            NoMatchingSubscribers => matches!(packet, PubAck | PubRec),
            NoSubscriptionExisted => matches!(packet, UnsubAck),
            ContinueAuthentication => matches!(packet, Auth),
            ReAuthenticate => matches!(packet, Auth),
            UnspecifiedError => matches!(packet, ConnAck | PubAck | PubRec | SubAck | UnsubAck | Disconnect),
            MalformedPacket => matches!(packet, ConnAck | Disconnect),
            ProtocolError => matches!(packet, ConnAck | Disconnect),
            ImplementationSpecificError => {
                matches!(packet, ConnAck | PubAck | PubRec | SubAck | UnsubAck | Disconnect)
            }
            UnsupportedProtocolVersion => matches!(packet, ConnAck),
            ClientIdentifierNotValid => matches!(packet, ConnAck),
            BadUserNameOrPassword => matches!(packet, ConnAck),
            NotAuthorized => matches!(packet, ConnAck | PubAck | PubRec | SubAck | UnsubAck | Disconnect),
            ServerUnavailable => matches!(packet, ConnAck),
            ServerBusy => matches!(packet, ConnAck | Disconnect),
            Banned => matches!(packet, ConnAck),
            ServerShuttingDown => matches!(packet, Disconnect),
            BadAuthenticationMethod => matches!(packet, ConnAck | Disconnect),
            KeepAliveTimeout => matches!(packet, Disconnect),
            SessionTakenOver => matches!(packet, Disconnect),
            TopicFilterInvalid => matches!(packet, SubAck | UnsubAck | Disconnect),
            TopicNameInvalid => matches!(packet, ConnAck | PubAck | PubRec | Disconnect),
            PacketIdentifierInUse => matches!(packet, PubAck | PubRec | SubAck | UnsubAck),
            PacketIdentifierNotFound => matches!(packet, PubRel | PubComp),
            ReceiveMaximumExceeded => matches!(packet, Disconnect),
            TopicAliasInvalid => matches!(packet, Disconnect),
            PacketTooLarge => matches!(packet, ConnAck | Disconnect),
            MessageRateTooHigh => matches!(packet, Disconnect),
            QuotaExceeded => matches!(packet, ConnAck | PubAck | PubRec | SubAck | Disconnect),
            AdministrativeAction => matches!(packet, Disconnect),
            PayloadFormatInvalid => matches!(packet, ConnAck | PubAck | PubRec | Disconnect),
            RetainNotSupported => matches!(packet, ConnAck | Disconnect),
            QoSNotSupported => matches!(packet, ConnAck | Disconnect),
            UseAnotherServer => matches!(packet, ConnAck | Disconnect),
            ServerMoved => matches!(packet, ConnAck | Disconnect),
            SharedSubscriptionsNotSupported => matches!(packet, SubAck | Disconnect),
            ConnectionRateExceeded => matches!(packet, ConnAck | Disconnect),
            MaximumConnectTime => matches!(packet, Disconnect),
            SubscriptionIdentifiersNotSupported => matches!(packet, SubAck | Disconnect),
            WildcardSubscriptionsNotSupported => matches!(packet, SubAck | Disconnect),
        }
    }

    /// What the code means, in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        use ReasonCode::*;
        match self {
            Success => "done; in DISCONNECT: normal disconnection; in SUBACK: QoS 0 granted",
            GrantedQoS1 => "the subscription is accepted with QoS 1 at most",
            GrantedQoS2 => "the subscription is accepted with QoS 2 at most",
            DisconnectWithWill => "the client leaves and wants its will published",
            NoMatchingSubscribers => "the message is taken, and nobody subscribes to it",
            NoSubscriptionExisted => "nothing to unsubscribe from",
            ContinueAuthentication => "another step of authentication follows",
            ReAuthenticate => "the client authenticates again",
            UnspecifiedError => "an error that has no code or must not be told",
            MalformedPacket => "a packet could not be read",
            ProtocolError => "a packet came out of order or says what it may not",
            ImplementationSpecificError => "a valid packet that this server does not take",
            UnsupportedProtocolVersion => "no such version here",
            ClientIdentifierNotValid => "a client identifier that may not be used",
            BadUserNameOrPassword => "no such user, or not its password",
            NotAuthorized => "the user may not do this",
            ServerUnavailable => "the server cannot serve now",
            ServerBusy => "the server has too much to do; later",
            Banned => "the client was barred by an operator",
            ServerShuttingDown => "the server goes down",
            BadAuthenticationMethod => {
                "an authentication method that is not offered, or not the one of CONNECT"
            }
            KeepAliveTimeout => "nothing came within one and a half keep alives",
            SessionTakenOver => "another connection uses the client identifier",
            TopicFilterInvalid => "well formed, and no topic filter here",
            TopicNameInvalid => "well formed, and no topic name here",
            PacketIdentifierInUse => "the packet identifier is taken",
            PacketIdentifierNotFound => "the packet identifier is not known",
            ReceiveMaximumExceeded => "more unacknowledged messages than allowed",
            TopicAliasInvalid => "a topic alias of 0 or above the maximum",
            PacketTooLarge => "a packet larger than allowed",
            MessageRateTooHigh => "messages come too fast",
            QuotaExceeded => "a limit that the server sets is met",
            AdministrativeAction => "an operator closed the connection",
            PayloadFormatInvalid => "the payload is not what its format indicator says",
            RetainNotSupported => "no retained messages here",
            QoSNotSupported => "no such QoS here",
            UseAnotherServer => "another server, for now",
            ServerMoved => "another server, for good",
            SharedSubscriptionsNotSupported => "no shared subscriptions here",
            ConnectionRateExceeded => "connections come too fast",
            MaximumConnectTime => "the connection has lasted as long as it may",
            SubscriptionIdentifiersNotSupported => "no subscription identifiers here",
            WildcardSubscriptionsNotSupported => "no wildcards here",
        }
    }
}
