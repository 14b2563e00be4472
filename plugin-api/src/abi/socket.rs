//! Sockets on their way to another owner.

use abi_stable::StableAbi;

/// A listening TCP socket, bound and listening.
pub const SOCKET_TCP_LISTENER: u32 = 1;
/// A connected TCP socket.
pub const SOCKET_TCP_STREAM: u32 = 2;
/// A listening Unix domain socket.
pub const SOCKET_UNIX_LISTENER: u32 = 3;

/// A socket of the operating system that changes its owner.
///
/// It is non-blocking, close-on-exec, and a duplicate of its own: closing it closes no other handle. Whoever holds the
/// value owns the socket and closes it, also by dropping the value.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct SocketHandle {
    raw: u64,
    kind: u32,
}

impl SocketHandle {
    /// What it is: one of the `SOCKET_` constants. A receiver closes a kind that it does not know.
    #[must_use]
    pub const fn kind(&self) -> u32 {
        self.kind
    }
}

#[cfg(unix)]
impl SocketHandle {
    /// Hands a descriptor over. The caller has made it non-blocking and close-on-exec.
    #[must_use]
    pub fn from_fd(fd: std::os::fd::OwnedFd, kind: u32) -> Self {
        use std::os::fd::IntoRawFd;
        // A descriptor is never negative.
        Self { raw: fd.into_raw_fd().cast_unsigned().into(), kind }
    }

    /// Takes the descriptor over.
    #[must_use]
    pub fn into_fd(self) -> std::os::fd::OwnedFd {
        use std::os::fd::FromRawFd;
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: the value owned the descriptor (promise of whoever made it), and is disarmed here.
        unsafe { std::os::fd::OwnedFd::from_raw_fd((this.raw as u32).cast_signed()) }
    }
}

#[cfg(unix)]
impl Drop for SocketHandle {
    fn drop(&mut self) {
        let copy = Self { raw: self.raw, kind: self.kind };
        drop(copy.into_fd());
    }
}
