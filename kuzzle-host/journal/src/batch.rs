//! Batches and records as bytes.
//!
//! ```text
//! batch   0   magic      8   BATCH_MAGIC
//!         8   position   8   where the batch begins in the log
//!         16  length     8   of the records
//!         24  checksum   4   CRC-32 of bytes 8 to 23
//!         28  reserved   4   0
//!         32  records; then zeros up to a multiple of 8
//! record  0   length     4   of the payload
//!         4   checksum   4   CRC-32 of the record's position (8 bytes), its length and its payload
//!         8   payload
//! ```
//!
//! All numbers are little-endian. A batch or record that lies elsewhere than its position says is left over from an
//! earlier life of the file and counts as none.

pub(crate) const BATCH_MAGIC: [u8; 8] = [0x93, b'K', b'Z', b'B', 0xff, 0xfe, 0x0d, 0x0a];
pub(crate) const BATCH_HEADER: usize = 32;
pub(crate) const RECORD_HEADER: usize = 8;

/// Batches begin at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// Appends a record to a batch in the making. Its checksum is put in when the batch is sealed.
pub(crate) fn put_record(buffer: &mut Vec<u8>, parts: &[&[u8]]) {
    if buffer.is_empty() {
        buffer.resize(BATCH_HEADER, 0);
    }
    let len: usize = parts.iter().map(|part| part.len()).sum();
    buffer.reserve(RECORD_HEADER + len);
    buffer.extend_from_slice(&(len as u32).to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    for part in parts {
        buffer.extend_from_slice(part);
    }
}

/// Makes a batch whole: its header, the checksums of its records, and the padding.
pub(crate) fn seal(buffer: &mut Vec<u8>, position: u64) {
    let length = (buffer.len() - BATCH_HEADER) as u64;
    buffer[..8].copy_from_slice(&BATCH_MAGIC);
    buffer[8..16].copy_from_slice(&position.to_le_bytes());
    buffer[16..24].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32fast::hash(&buffer[8..24]);
    buffer[24..28].copy_from_slice(&checksum.to_le_bytes());
    let mut at = BATCH_HEADER;
    while at < buffer.len() {
        let len = u32_at(buffer, at) as usize;
        let end = at + RECORD_HEADER + len;
        let checksum = record_checksum(position + at as u64, &buffer[at + RECORD_HEADER..end]);
        buffer[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
        at = end;
    }
    buffer.resize(buffer.len().next_multiple_of(ALIGN), 0);
}

pub(crate) fn record_checksum(position: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.to_le_bytes());
    hasher.update(&(payload.len() as u32).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Length of the records of the batch that begins at `position` with these bytes; none if there is no such batch.
pub(crate) fn header(bytes: &[u8], position: u64) -> Option<u64> {
    let head = bytes.get(..BATCH_HEADER)?;
    let good = head[..8] == BATCH_MAGIC
        && u64_at(head, 8) == position
        && crc32fast::hash(&head[8..24]) == u32_at(head, 24);
    good.then(|| u64_at(head, 16))
}

/// Records with their positions.
pub(crate) type Records<'a> = Vec<(u64, &'a [u8])>;

/// The records of the batch that begins at `position` with these bytes, if all of it is whole. Returns the length up to
/// the next batch.
pub(crate) fn read(bytes: &[u8], position: u64) -> Option<(Records<'_>, usize)> {
    let length = usize::try_from(header(bytes, position)?).ok()?;
    let end = BATCH_HEADER.checked_add(length)?;
    let body = bytes.get(..end)?;
    let mut records = Vec::new();
    let mut at = BATCH_HEADER;
    while at < end {
        let head = body.get(at..at + RECORD_HEADER)?;
        let len = u32_at(head, 0) as usize;
        let payload = body.get(at + RECORD_HEADER..at + RECORD_HEADER + len)?;
        let record = position + at as u64;
        if record_checksum(record, payload) != u32_at(head, 4) {
            return None;
        }
        records.push((record, payload));
        at += RECORD_HEADER + len;
    }
    Some((records, end.next_multiple_of(ALIGN)))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(records: &[Vec<u8>], position: u64) -> Vec<u8> {
        let mut buffer = Vec::new();
        for record in records {
            let (a, b) = record.split_at(record.len() / 2);
            put_record(&mut buffer, &[a, b]);
        }
        seal(&mut buffer, position);
        buffer
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..6)
    }

    proptest! {
        #[test]
        fn a_batch_is_read_as_it_was_made(records in records(), position in 0u64..1 << 40) {
            let bytes = batch(&records, position);
            let (read_back, len) = read(&bytes, position).unwrap();
            prop_assert_eq!(len, bytes.len());
            prop_assert_eq!(len % ALIGN, 0);
            let payloads: Vec<Vec<u8>> = read_back.iter().map(|(_, payload)| payload.to_vec()).collect();
            prop_assert_eq!(payloads, records);
            prop_assert!(read(&bytes, position + 8).is_none());
        }

        #[test]
        fn a_changed_batch_is_no_batch(records in records(), at: prop::sample::Index, flip in 1u8..) {
            let mut bytes = batch(&records, 64);
            let end = BATCH_HEADER + header(&bytes, 64).unwrap() as usize;
            let at = at.index(end);
            // The reserved bytes say nothing.
            prop_assume!(!(28..32).contains(&at));
            bytes[at] ^= flip;
            prop_assert!(read(&bytes, 64).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = read(&bytes, 0);
        }
    }
}
