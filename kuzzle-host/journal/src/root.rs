//! The root: from where on the owner has to read. A file of its own, replaced as a whole.

use std::io;

use crate::batch::{u32_at, u64_at};
use crate::disk::Disk;
use crate::journal::JournalError;
use crate::segment::FORMAT;

const NAME: &str = "root";
const NEW_NAME: &str = "root.new";
const MAGIC: [u8; 8] = *b"\x93KZROOT\n";
const LEN: usize = 40;

/// From where the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Root {
    /// The first record.
    pub(crate) record: u64,
    /// The batch it lies in.
    pub(crate) batch: u64,
}

/// Reads the root; none when there is no journal yet.
pub(crate) fn read(disk: &dyn Disk) -> Result<Option<Root>, JournalError> {
    let file = match disk.open(NAME) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io("open", NAME, error)),
    };
    let mut bytes = [0; LEN];
    file.read_at(0, &mut bytes).map_err(|error| JournalError::io("read", NAME, error))?;
    if bytes[..8] != MAGIC || crc32fast::hash(&bytes[8..32]) != u32_at(&bytes, 32) {
        return Err(JournalError::damaged(NAME, "it is damaged"));
    }
    let format = u32_at(&bytes, 8);
    if format > FORMAT {
        return Err(JournalError::Newer { file: NAME.into(), found: format, known: FORMAT });
    }
    Ok(Some(Root { record: u64_at(&bytes, 16), batch: u64_at(&bytes, 24) }))
}

/// Moves the root. It is on stable storage when this returns.
pub(crate) fn write(disk: &dyn Disk, root: Root) -> io::Result<()> {
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[16..24].copy_from_slice(&root.record.to_le_bytes());
    bytes[24..32].copy_from_slice(&root.batch.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[8..32]);
    bytes[32..36].copy_from_slice(&checksum.to_le_bytes());
    let file = disk.create(NEW_NAME)?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(NEW_NAME, NAME)
}
