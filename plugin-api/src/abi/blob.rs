//! Bytes that both sides share without copying.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use abi_stable::StableAbi;

/// A shared, immutable run of bytes, freed by its maker.
///
/// Cloning and slicing count a reference and copy nothing, so one payload goes to any number of connections at the cost
/// of an atomic increment each. Making one from a `Vec` costs nothing when that has room for the count of references
/// behind its bytes, which one that grew while it was written mostly has; otherwise one small allocation.
#[repr(C)]
#[derive(StableAbi)]
pub struct Blob {
    ptr: *const u8,
    len: usize,
    owner: *const (),
    vt: &'static BlobVt,
}

/// How the maker of a [`Blob`] counts its references. Both functions: any thread, never block, cannot fail.
#[repr(C)]
#[derive(StableAbi)]
pub struct BlobVt {
    /// Counts one more reference to the owner.
    pub retain: unsafe extern "C" fn(owner: *const ()),
    /// Gives one reference back; the last one frees the bytes with the maker's allocator.
    pub release: unsafe extern "C" fn(owner: *const ()),
}

impl Blob {
    /// Bytes that live as long as the library they are in.
    #[must_use]
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len(), owner: std::ptr::null(), vt: &STATIC_VT }
    }

    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self::from_static(&[])
    }

    /// Shares bytes that `owner` keeps alive. `owner` must always answer with the same bytes, as containers do: the
    /// answer is taken once, after the owner has reached its final place in memory.
    #[must_use]
    pub fn from_owner<T: AsRef<[u8]> + Send + Sync + 'static>(owner: T) -> Self {
        let owner = Arc::new(owner);
        let bytes = (*owner).as_ref();
        let (ptr, len) = (bytes.as_ptr(), bytes.len());
        Self { ptr, len, owner: Arc::into_raw(owner).cast(), vt: &Owned::<T>::VT }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_slice(&self) -> &[u8] {
        // SAFETY: `ptr` and `len` were taken from a slice that the owner keeps alive and unchanged; this value holds a
        // reference to the owner until it is dropped. Every maker of a blob (above, or on the other side) promises it.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }

    /// The bytes as text, when they are UTF-8.
    ///
    /// # Errors
    ///
    /// When they are not.
    pub const fn as_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(self.as_slice())
    }

    /// A part of the bytes, sharing the owner. A range that reaches past the end is cut there.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        }
        .min(self.len);
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len,
        }
        .clamp(start, self.len);
        let mut part = self.clone();
        // SAFETY: `start` is at most `len`, so the pointer stays inside the bytes or one past them.
        part.ptr = unsafe { self.ptr.add(start) };
        part.len = end - start;
        part
    }
}

impl Clone for Blob {
    fn clone(&self) -> Self {
        if !self.owner.is_null() {
            // SAFETY: this value holds a reference to `owner`, so it is alive; its maker's `retain` is for this owner.
            unsafe { (self.vt.retain)(self.owner) }
        }
        Self { ptr: self.ptr, len: self.len, owner: self.owner, vt: self.vt }
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if !self.owner.is_null() {
            // SAFETY: gives back the one reference that this value holds, once.
            unsafe { (self.vt.release)(self.owner) }
        }
    }
}

// SAFETY: the bytes are immutable and their owner is `Send + Sync` (required by `from_owner`), as is its counting.
unsafe impl Send for Blob {}
// SAFETY: as above; all access through a shared reference only reads.
unsafe impl Sync for Blob {}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Default for Blob {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() { Self::empty() } else { InVec::make(bytes).unwrap_or_else(Self::from_owner) }
    }
}

impl From<String> for Blob {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&'static str> for Blob {
    fn from(text: &'static str) -> Self {
        Self::from_static(text.as_bytes())
    }
}

#[cfg(feature = "sdk")]
impl From<bytes::Bytes> for Blob {
    fn from(bytes: bytes::Bytes) -> Self {
        Self::from_owner(bytes)
    }
}

#[cfg(feature = "sdk")]
impl From<Blob> for bytes::Bytes {
    fn from(blob: Blob) -> Self {
        Self::from_owner(blob)
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Blob {}

impl fmt::Debug for Blob {
    /// Length only: payloads never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.len)
    }
}

static STATIC_VT: BlobVt = BlobVt { retain: keep, release: keep };

unsafe extern "C" fn keep(_owner: *const ()) {}

struct Owned<T>(std::marker::PhantomData<T>);

impl<T: Send + Sync + 'static> Owned<T> {
    const VT: BlobVt = BlobVt { retain: Self::retain, release: Self::release };

    unsafe extern "C" fn retain(owner: *const ()) {
        // SAFETY: `owner` came from `Arc::<T>::into_raw` in `from_owner`, and the caller holds a reference.
        unsafe { Arc::increment_strong_count(owner.cast::<T>()) }
    }

    unsafe extern "C" fn release(owner: *const ()) {
        super::guard(
            // SAFETY: as above; the caller gives up the reference it holds.
            || unsafe { Arc::decrement_strong_count(owner.cast::<T>()) },
            |_panic| (),
        );
    }
}

/// The owner of bytes in a `Vec`, when it lies behind them in the room that the `Vec` has left.
struct InVec {
    references: AtomicUsize,
    start: *mut u8,
    capacity: usize,
}

impl InVec {
    const VT: BlobVt = BlobVt { retain: Self::retain, release: Self::release };

    /// Makes a blob of a `Vec`, or gives it back when it has no room.
    fn make(bytes: Vec<u8>) -> Result<Blob, Vec<u8>> {
        let mut bytes = ManuallyDrop::new(bytes);
        let (len, capacity) = (bytes.len(), bytes.capacity());
        let start = bytes.as_mut_ptr();
        // SAFETY: `len` is at most the capacity, so the pointer stays inside the block of memory or one past it.
        let padding = unsafe { start.add(len) }.align_offset(align_of::<Self>());
        let fits = len.checked_add(padding).and_then(|at| at.checked_add(size_of::<Self>()));
        if fits.is_none_or(|end| end > capacity) {
            return Err(ManuallyDrop::into_inner(bytes));
        }
        // SAFETY: just found to be inside the block.
        let owner = unsafe { start.add(len + padding) }.cast::<Self>();
        // SAFETY: the place is aligned, inside the block and behind its bytes, and the block is ours.
        unsafe { owner.write(Self { references: AtomicUsize::new(1), start, capacity }) };
        Ok(Blob { ptr: start, len, owner: owner.cast_const().cast(), vt: &Self::VT })
    }

    unsafe extern "C" fn retain(owner: *const ()) {
        // SAFETY: `owner` was made by `make`, and the caller holds a reference, so that the block is alive.
        let references = unsafe { &(*owner.cast::<Self>()).references };
        // As for an `Arc`: far beyond what memory could hold, and before the count could come round to zero.
        if references.fetch_add(1, Ordering::Relaxed) > isize::MAX.unsigned_abs() {
            std::process::abort();
        }
    }

    unsafe extern "C" fn release(owner: *const ()) {
        let owner = owner.cast::<Self>();
        // SAFETY: as in `retain`. The reference to the count ends here: the block may be freed right after.
        if unsafe { (*owner).references.fetch_sub(1, Ordering::Release) } == 1 {
            fence(Ordering::Acquire);
            // SAFETY: this was the last reference; the block came from a `Vec` of this library with that capacity.
            drop(unsafe { Vec::from_raw_parts((*owner).start, 0, (*owner).capacity) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_freed_once_after_the_last_reference() {
        static DROPS: AtomicUsize = AtomicUsize::new(0);
        struct Owner(Vec<u8>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        impl Drop for Owner {
            fn drop(&mut self) {
                DROPS.fetch_add(1, Ordering::SeqCst);
            }
        }
        let blob = Blob::from_owner(Owner(b"hello world".to_vec()));
        let tail = blob.slice(6..);
        drop(blob);
        assert_eq!(tail.as_slice(), b"world");
        assert_eq!(DROPS.load(Ordering::SeqCst), 0);
        drop(tail);
        assert_eq!(DROPS.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_owner_that_holds_its_bytes_inline_is_read_where_it_ends_up() {
        let blob = Blob::from_owner([7_u8; 24]);
        let copies: Vec<_> = (0..10).map(|_| blob.clone()).collect();
        assert!(copies.iter().all(|copy| copy.as_slice() == [7; 24]));
    }

    #[test]
    fn a_vec_is_shared_and_freed_whatever_room_it_has() {
        const STEP: usize = if cfg!(miri) { 9 } else { 1 };
        for len in (1..70).step_by(STEP) {
            for room in (0..70).step_by(STEP) {
                let mut bytes = Vec::with_capacity(len + room);
                bytes.extend((0..len).map(|at| at as u8));
                let place = bytes.as_ptr();
                let blob = Blob::from(bytes);
                assert_eq!(blob.as_slice().as_ptr(), place, "nothing is copied");
                let parts = [blob.clone(), blob.slice(1..), blob.slice(..len - 1)];
                let last = std::thread::spawn(move || {
                    let [whole, tail, head] = parts;
                    drop((whole, head));
                    tail
                });
                assert!(blob.as_slice().iter().enumerate().all(|(at, byte)| *byte == at as u8));
                drop(blob);
                let tail = last.join().unwrap();
                assert!(tail.as_slice().iter().enumerate().all(|(at, byte)| *byte == at as u8 + 1));
            }
        }
    }

    #[test]
    fn a_vec_with_room_for_the_count_costs_no_allocation() {
        let mut bytes = Vec::with_capacity(200 + size_of::<InVec>() + align_of::<InVec>());
        bytes.resize(200, 7);
        let blob = Blob::from(bytes);
        let place = blob.as_slice().as_ptr().addr();
        assert!((place + 200..place + 256).contains(&blob.owner.addr()));
        assert_eq!(blob.slice(100..).clone().as_slice(), [7; 100]);
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges)]
    fn ranges_are_cut_at_the_end() {
        let blob = Blob::from("abc");
        assert_eq!(blob.slice(1..100).as_slice(), b"bc");
        assert_eq!(blob.slice(5..).as_slice(), b"");
        assert_eq!(blob.slice(2..1).as_slice(), b"");
        assert_eq!(blob.slice(..=usize::MAX).as_slice(), b"abc");
    }
}
