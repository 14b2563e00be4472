//! One batch as bytes: a frame is valid as a whole or not at all.
//!
//! ```text
//! 0   magic       8 bytes   FRAME_MAGIC; not UTF-8, so no document can hold a frame
//! 8   length      4 bytes   of the payload
//! 12  checksum    4 bytes   CRC-32 of bytes 16 to the end of the payload
//! 16  previous    8 bytes   number of the last write before the batch
//! 24  last        8 bytes   number of the last write of the batch
//! 32  flags       4 bytes   bit 0: all that lies before in this file was synced before this frame was written
//! 36  reserved    4 bytes   0
//! 40  payload     changes: a tag byte, then its fields; texts and values with their length in 4 bytes before them
//! ```
//!
//! All numbers are little-endian. Frames begin at multiples of 8 bytes.

use bytes::Bytes;

use crate::op::Op;
use crate::record::{Key, Record};

pub(super) const FRAME_MAGIC: [u8; 8] = [0xff, 0xfe, b'K', b'Z', b'J', b'1', 0xfe, 0xff];
pub(super) const FRAME_HEADER_LEN: usize = 40;
pub(super) const FRAME_ALIGN: usize = 8;
const FLAG_PREDECESSORS_SYNCED: u32 = 1;

const PUT: u8 = 1;
const REMOVE: u8 = 2;
const ADD_INDEX: u8 = 3;
const ADD_COLLECTION: u8 = 4;
const REMOVE_INDEX: u8 = 5;
const SET_MAPPING: u8 = 6;
const SET_AUTO_REFRESH: u8 = 7;

/// What stands before the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) previous: u64,
    pub(super) last: u64,
    pub(super) predecessors_synced: bool,
}

/// Writes a frame into `out`, replacing what was in it.
pub(super) fn encode(out: &mut Vec<u8>, header: Header, ops: &[Op]) {
    out.clear();
    out.extend_from_slice(&FRAME_MAGIC);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&header.previous.to_le_bytes());
    out.extend_from_slice(&header.last.to_le_bytes());
    let flags = if header.predecessors_synced { FLAG_PREDECESSORS_SYNCED } else { 0 };
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for op in ops {
        encode_op(out, op);
    }
    let length = (out.len() - FRAME_HEADER_LEN) as u32;
    out[8..12].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32fast::hash(&out[16..]);
    out[12..16].copy_from_slice(&checksum.to_le_bytes());
    out.resize(out.len().next_multiple_of(FRAME_ALIGN), 0);
}

fn encode_op(out: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Put { key, record } => {
            out.push(PUT);
            put(out, key.as_bytes());
            put(out, record.as_bytes());
        }
        Op::Remove { key } => {
            out.push(REMOVE);
            put(out, key.as_bytes());
        }
        Op::AddIndex { index } => {
            out.push(ADD_INDEX);
            put(out, index.as_bytes());
        }
        Op::AddCollection { index, collection, id } => {
            out.push(ADD_COLLECTION);
            put(out, index.as_bytes());
            put(out, collection.as_bytes());
            out.extend_from_slice(&id.to_le_bytes());
        }
        Op::RemoveIndex { index, collections } => {
            out.push(REMOVE_INDEX);
            put(out, index.as_bytes());
            out.extend_from_slice(&(collections.len() as u32).to_le_bytes());
            for (collection, id) in collections {
                put(out, collection.as_bytes());
                out.extend_from_slice(&id.to_le_bytes());
            }
        }
        Op::SetMapping { index, collection, id, mapping } => {
            out.push(SET_MAPPING);
            put(out, index.as_bytes());
            put(out, collection.as_bytes());
            out.extend_from_slice(&id.to_le_bytes());
            put(out, mapping.as_bytes());
        }
        Op::SetAutoRefresh { index, enabled } => {
            out.push(SET_AUTO_REFRESH);
            put(out, index.as_bytes());
            out.push(u8::from(*enabled));
        }
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// A valid frame at the beginning of some bytes.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) header: Header,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the frame at the beginning of `bytes`; none when there is no valid one.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.get(..FRAME_HEADER_LEN)?;
        if head[..8] != FRAME_MAGIC {
            return None;
        }
        let mut fields = Fields(&head[8..]);
        let (length, checksum) = (fields.u32()? as usize, fields.u32()?);
        let (previous, last, flags) = (fields.u64()?, fields.u64()?, fields.u32()?);
        let end = FRAME_HEADER_LEN.checked_add(length)?;
        if crc32fast::hash(bytes.get(16..end)?) != checksum {
            return None;
        }
        Some(Self {
            header: Header { previous, last, predecessors_synced: flags & FLAG_PREDECESSORS_SYNCED != 0 },
            payload: &bytes[FRAME_HEADER_LEN..end],
        })
    }

    /// Bytes the frame takes, up to where the next one begins.
    pub(super) fn len(&self) -> usize {
        (FRAME_HEADER_LEN + self.payload.len()).next_multiple_of(FRAME_ALIGN)
    }

    /// The changes; none when they are not written as the format says.
    pub(super) fn ops(&self) -> Option<Vec<Op>> {
        let mut fields = Fields(self.payload);
        let mut ops = Vec::new();
        while !fields.0.is_empty() {
            ops.push(match fields.take(1)?[0] {
                PUT => Op::Put {
                    key: Key::from_bytes(fields.bytes()?)?,
                    record: Record::from_bytes(Bytes::copy_from_slice(fields.bytes()?))?,
                },
                REMOVE => Op::Remove { key: Key::from_bytes(fields.bytes()?)? },
                ADD_INDEX => Op::AddIndex { index: fields.text()? },
                ADD_COLLECTION => {
                    Op::AddCollection { index: fields.text()?, collection: fields.text()?, id: fields.u32()? }
                }
                REMOVE_INDEX => {
                    let index = fields.text()?;
                    let collections = (0..fields.u32()?)
                        .map(|_| Some((fields.text()?, fields.u32()?)))
                        .collect::<Option<_>>()?;
                    Op::RemoveIndex { index, collections }
                }
                SET_MAPPING => Op::SetMapping {
                    index: fields.text()?,
                    collection: fields.text()?,
                    id: fields.u32()?,
                    mapping: fields.text()?,
                },
                SET_AUTO_REFRESH => {
                    Op::SetAutoRefresh { index: fields.text()?, enabled: fields.take(1)?[0] != 0 }
                }
                _ => return None,
            });
        }
        Some(ops)
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn op() -> impl Strategy<Value = Op> {
        let key = (any::<u32>(), ".{0,20}").prop_map(|(n, id)| Key::new(n, &id));
        let record = proptest::collection::vec(any::<u8>(), 16..80)
            .prop_map(|bytes| Record::from_bytes(bytes.into()).unwrap());
        prop_oneof![
            (key.clone(), record).prop_map(|(key, record)| Op::Put { key, record }),
            key.prop_map(|key| Op::Remove { key }),
            ".{0,9}".prop_map(|index| Op::AddIndex { index }),
            (".{0,9}", ".{0,9}", any::<u32>()).prop_map(|(index, collection, id)| Op::AddCollection {
                index,
                collection,
                id
            }),
            (".{0,9}", proptest::collection::vec((".{0,9}", any::<u32>()), 0..4))
                .prop_map(|(index, collections)| Op::RemoveIndex { index, collections }),
            (".{0,9}", ".{0,9}", any::<u32>(), ".{0,30}").prop_map(|(index, collection, id, mapping)| {
                Op::SetMapping { index, collection, id, mapping }
            }),
            (".{0,9}", any::<bool>()).prop_map(|(index, enabled)| Op::SetAutoRefresh { index, enabled }),
        ]
    }

    proptest! {
        #[test]
        fn decoding_gives_what_was_encoded(
            ops in proptest::collection::vec(op(), 0..8),
            previous: u64, last: u64, predecessors_synced: bool,
        ) {
            let header = Header { previous, last, predecessors_synced };
            let mut bytes = Vec::new();
            encode(&mut bytes, header, &ops);
            let frame = Frame::read(&bytes).unwrap();
            prop_assert_eq!(frame.header, header);
            prop_assert_eq!(frame.len(), bytes.len());
            prop_assert_eq!(frame.ops().unwrap(), ops);
        }

        #[test]
        fn a_changed_frame_is_no_frame(
            ops in proptest::collection::vec(op(), 1..4), at: prop::sample::Index, flip in 1u8..,
        ) {
            let mut bytes = Vec::new();
            encode(&mut bytes, Header { previous: 1, last: 2, predecessors_synced: true }, &ops);
            let end = Frame::read(&bytes).unwrap().payload.len() + FRAME_HEADER_LEN;
            bytes[at.index(end)] ^= flip;
            prop_assert!(Frame::read(&bytes).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frame::read(&bytes);
            let _ = Frame { header: Header { previous: 0, last: 0, predecessors_synced: false }, payload: &bytes }.ops();
        }
    }
}
