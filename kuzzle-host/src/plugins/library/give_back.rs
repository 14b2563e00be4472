//! Memory that is free goes back to the system.
#![allow(unsafe_code)]

/// Tells the allocator to give back what it keeps for later.
///
/// That of glibc keeps what one thread has freed below something that lives on, for as long as the process runs: after a
/// start that is the bytes of every library that was read, several times what lives on. It costs milliseconds for each
/// hundred megabytes, in which others wait to allocate, so it is for quiet moments.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time from any thread: it takes the allocator's locks, and touches no memory but
    // that which belongs to nobody.
    unsafe {
        let _some_was_given_back = libc::malloc_trim(0);
    }
}
