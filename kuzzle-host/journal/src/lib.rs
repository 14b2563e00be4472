//! A log in segments: records are appended in memory, written and synced together by one thread, and read back by their
//! positions. It knows nothing of what its records mean.
//!
//! ```text
//! position   an address in the log as a whole; it grows for ever
//! segment    a file that holds the positions from its base to the base of the next one
//! batch      what one sync covers: a header, then records; it is valid as a whole or not at all
//! root       the position from which the owner has to read the log to know all it needs; kept in a file of its own
//! ```
//!
//! The owner appends, now and then writes a picture of its state into the log, moves the root to it, and releases the
//! segments that nothing refers to any more.

mod batch;
mod check;
mod committer;
mod copy;
mod disk;
mod journal;
mod recovery;
mod root;
mod segment;
#[cfg(test)]
mod tests;

pub use check::{Checked, check};
pub use disk::{Directory, Disk, DiskFile};
#[cfg(any(test, feature = "simulated"))]
pub use disk::{Failing, Random, SimulatedDisk};
pub use journal::{Appended, Group, Journal, JournalError, JournalOptions, SegmentInfo};
