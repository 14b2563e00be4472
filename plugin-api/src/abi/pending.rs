//! An answer of the other side as a future.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use super::{Completion, Reply, guard};

/// The answer to a call, to be awaited. The call is under way whether this is polled or not; dropping it throws the
/// answer away when it comes.
///
/// Costs one allocation. An answer that is given inside the call is there at the first poll. Needs no particular runtime.
#[must_use = "the answer comes by awaiting this"]
pub struct PendingReply {
    answer: Answer,
}

enum Answer {
    /// Comes, or has come, into the slot.
    Slot(FutureEnd),
    Known(Reply),
    Taken,
}

impl PendingReply {
    /// Makes a call that takes a completion, and gives its answer as a future.
    pub fn of(call: impl FnOnce(Completion)) -> Self {
        let (done, end) = Slot::make();
        call(done);
        Self { answer: Answer::Slot(end) }
    }

    /// An answer that is already known.
    pub const fn ready(reply: Reply) -> Self {
        Self { answer: Answer::Known(reply) }
    }
}

impl Future for PendingReply {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        match &self.answer {
            Answer::Slot(end) if !end.is_full_after_poll(context) => return Poll::Pending,
            _ => {}
        }
        match std::mem::replace(&mut self.answer, Answer::Taken) {
            Answer::Slot(end) => Poll::Ready(end.take()),
            Answer::Known(reply) => Poll::Ready(reply),
            // Polled again after it was ready, which the contract of futures leaves open.
            Answer::Taken => Poll::Ready(Reply::cancelled()),
        }
    }
}

/// Neither waker nor answer is there.
const EMPTY: u8 = 0;
/// The future waits: its waker is there.
const WAITING: u8 = 1;
/// The completion is taking the waker.
const WAKING: u8 = 2;
/// The answer is there.
const FULL: u8 = 3;
/// The future has gone.
const CLOSED: u8 = 4;

/// Where an answer passes from a completion to a future. Each of the two has one end of it.
///
/// - The waker is the future's in `EMPTY` and the completion's in `WAKING`. In `WAITING` it is for whoever changes that:
///   the future to `EMPTY`, the completion to `WAKING`.
/// - The answer is the completion's until `FULL`, and the future's then.
/// - The end that comes last frees the slot: in `FULL` the future, in `CLOSED` the completion. The other one, which has
///   brought that state about, touches the slot no more.
struct Slot {
    state: AtomicU8,
    waker: UnsafeCell<MaybeUninit<Waker>>,
    reply: UnsafeCell<MaybeUninit<Reply>>,
}

impl Slot {
    fn make() -> (Completion, FutureEnd) {
        let slot = NonNull::from(Box::leak(Box::new(Self {
            state: AtomicU8::new(EMPTY),
            waker: UnsafeCell::new(MaybeUninit::uninit()),
            reply: UnsafeCell::new(MaybeUninit::uninit()),
        })));
        // SAFETY: `complete` takes this pointer, once, on any thread.
        let done = unsafe { Completion::from_raw(slot.as_ptr().cast_const().cast(), complete) };
        (done, FutureEnd(slot))
    }

    /// Takes the answer out and frees the slot.
    ///
    /// # Safety
    ///
    /// The answer is there, and nobody uses the slot any more.
    unsafe fn take(slot: NonNull<Self>) -> Reply {
        // SAFETY: it came from a box in `make`, and only the last end comes here (the caller's promise).
        let slot = unsafe { Box::from_raw(slot.as_ptr()) };
        // SAFETY: the answer is there (the caller's promise).
        unsafe { slot.reply.into_inner().assume_init() }
    }
}

unsafe extern "C" fn complete(target: *const (), reply: Reply) {
    // Wakers are foreign code and may panic.
    guard(
        || {
            let slot = NonNull::new(target.cast_mut().cast());
            // SAFETY: `target` is the slot that this completion was made with, and this is its one call.
            let waker = slot.and_then(|slot| unsafe { put(slot, reply) });
            if let Some(waker) = waker {
                waker.wake();
            }
        },
        |_panic| (),
    );
}

/// Puts the answer into a slot; gives the waker of the future that waits for it.
///
/// # Safety
///
/// The caller has the completion's end, and gives it up.
unsafe fn put(slot: NonNull<Slot>, reply: Reply) -> Option<Waker> {
    let slot_ptr = slot;
    // SAFETY: until this end changes the state to `FULL`, the future does not free the slot. After that this reference is
    // not used.
    let slot = unsafe { slot.as_ref() };
    // SAFETY: until `FULL` the answer is the completion's.
    unsafe { (*slot.reply.get()).write(reply) };
    let mut state = EMPTY;
    loop {
        let (next, order) =
            if state == EMPTY { (FULL, Ordering::Release) } else { (WAKING, Ordering::Acquire) };
        match slot.state.compare_exchange(state, next, order, Ordering::Acquire) {
            Ok(EMPTY) => return None,
            Ok(_) => break,
            Err(CLOSED) => {
                // SAFETY: the future is gone, and has left the slot to this end. The answer was written above.
                drop(unsafe { Slot::take(slot_ptr) });
                return None;
            }
            // The future may take its waker back to bring another: so this can change more than once.
            Err(found) => state = found,
        }
    }
    // SAFETY: the change from `WAITING` to `WAKING` made the waker ours.
    let waker = unsafe { (*slot.waker.get()).assume_init_read() };
    if slot.state.swap(FULL, Ordering::AcqRel) == CLOSED {
        // SAFETY: as above.
        drop(unsafe { Slot::take(slot_ptr) });
    }
    Some(waker)
}

/// The future's end of a slot.
struct FutureEnd(NonNull<Slot>);

// SAFETY: the state says which end may touch what, and each change of it passes on what was written before. Wakers and
// replies may be used and dropped on any thread.
unsafe impl Send for FutureEnd {}
// SAFETY: nothing is done through a shared reference but `is_full_after_poll`, whose caller has the future exclusively.
unsafe impl Sync for FutureEnd {}

impl FutureEnd {
    const fn slot(&self) -> &Slot {
        // SAFETY: the completion frees the slot only when this end has changed the state to `CLOSED`, in `drop`.
        unsafe { self.0.as_ref() }
    }

    /// Whether the answer is there; when it is not, the context's waker will be woken. One call at a time.
    fn is_full_after_poll(&self, context: &Context<'_>) -> bool {
        let slot = self.slot();
        let waker = match self.take_waker() {
            Ok(waker) => waker.filter(|waker| waker.will_wake(context.waker())),
            Err(FULL) => return true,
            Err(_waking) => {
                // Its place in the slot is in use, for a moment.
                context.waker().wake_by_ref();
                return false;
            }
        };
        let waker = waker.unwrap_or_else(|| context.waker().clone());
        // SAFETY: in `EMPTY` the waker is the future's, and none is there.
        unsafe { (*slot.waker.get()).write(waker) };
        let waits = slot.state.compare_exchange(EMPTY, WAITING, Ordering::Release, Ordering::Acquire);
        if waits.is_err() {
            // SAFETY: written above. The state went from `EMPTY` to `FULL`, so the completion did not touch it.
            drop(unsafe { (*slot.waker.get()).assume_init_read() });
        }
        waits.is_err()
    }

    /// Makes the state `EMPTY`, and gives the waker if one was there; or gives the state that cannot be changed.
    fn take_waker(&self) -> Result<Option<Waker>, u8> {
        let slot = self.slot();
        match slot.state.load(Ordering::Acquire) {
            EMPTY => Ok(None),
            WAITING => {
                slot.state.compare_exchange(WAITING, EMPTY, Ordering::Acquire, Ordering::Acquire)?;
                // SAFETY: the change from `WAITING` to `EMPTY` made the waker ours.
                Ok(Some(unsafe { (*slot.waker.get()).assume_init_read() }))
            }
            state => Err(state),
        }
    }

    /// The answer, which [`is_full_after_poll`](Self::is_full_after_poll) has found to be there.
    fn take(self) -> Reply {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: in `FULL` the completion is done with the slot. This end is given up.
        unsafe { Slot::take(this.0) }
    }
}

impl Drop for FutureEnd {
    fn drop(&mut self) {
        // Before the change: after it the completion may free the slot.
        drop(self.take_waker());
        if self.slot().state.swap(CLOSED, Ordering::AcqRel) == FULL {
            // SAFETY: in `FULL` the completion is done with the slot, and nobody has taken the answer.
            drop(unsafe { Slot::take(self.0) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::STATUS_CANCELLED;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::task::Wake;

    /// Replies and wakers of one test: how many are there, and how often they were woken.
    #[derive(Default)]
    struct Counts {
        replies: AtomicUsize,
        woken: AtomicUsize,
    }

    /// The bytes of a counted reply.
    struct Counted(Arc<Counts>);

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            b"counted"
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.replies.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.woken.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Counts {
        fn reply(self: &Arc<Self>) -> Reply {
            self.replies.fetch_add(1, Ordering::SeqCst);
            let body = crate::abi::Blob::from_owner(Counted(Arc::clone(self)));
            Reply { status: 200, body, ..Reply::cancelled() }
        }

        fn assert_gone(&self) {
            assert_eq!(self.replies.load(Ordering::SeqCst), 0, "every reply is dropped once");
        }
    }

    fn poll(pending: &mut PendingReply, waker: &Waker) -> Option<u32> {
        match Pin::new(pending).poll(&mut Context::from_waker(waker)) {
            Poll::Ready(reply) => Some(reply.status),
            Poll::Pending => None,
        }
    }

    #[test]
    fn an_answer_inside_the_call_is_there_at_once_and_given_once() {
        let counts = Arc::new(Counts::default());
        let mut pending = PendingReply::of(|done| done.complete(counts.reply()));
        assert_eq!(poll(&mut pending, Waker::noop()), Some(200));
        counts.assert_gone();
        assert_eq!(poll(&mut pending, Waker::noop()), Some(STATUS_CANCELLED));
        let mut known = PendingReply::ready(counts.reply());
        assert_eq!(poll(&mut known, Waker::noop()), Some(200));
        assert_eq!(poll(&mut known, Waker::noop()), Some(STATUS_CANCELLED));
        counts.assert_gone();
    }

    #[test]
    fn a_later_answer_wakes_the_last_waker_once() {
        let mut taken = None;
        let mut pending = PendingReply::of(|done| taken = Some(done));
        let (first, last) = (Arc::new(Counts::default()), Arc::new(Counts::default()));
        assert_eq!(poll(&mut pending, &first.clone().into()), None);
        assert_eq!(poll(&mut pending, &last.clone().into()), None);
        assert_eq!(Arc::strong_count(&first), 1, "a waker that is replaced is dropped");
        let reply = last.reply();
        std::thread::spawn(move || taken.unwrap().complete(reply)).join().unwrap();
        assert_eq!((first.woken.load(Ordering::SeqCst), last.woken.load(Ordering::SeqCst)), (0, 1));
        assert_eq!(poll(&mut pending, Waker::noop()), Some(200));
        assert_eq!(Arc::strong_count(&last), 1);
        last.assert_gone();
    }

    #[test]
    fn whichever_end_goes_first_nothing_is_left() {
        let counts = Arc::new(Counts::default());
        let waker = Waker::from(Arc::clone(&counts));
        for is_polled in [false, true] {
            let mut taken = None;
            let mut pending = PendingReply::of(|done| taken = Some(done));
            if is_polled {
                assert_eq!(poll(&mut pending, &waker), None);
            }
            drop(pending);
            taken.unwrap().complete(counts.reply());

            let mut taken = None;
            let mut pending = PendingReply::of(|done| taken = Some(done));
            if is_polled {
                assert_eq!(poll(&mut pending, &waker), None);
            }
            taken.unwrap().complete(counts.reply());
            drop(pending);
        }
        drop(waker);
        counts.assert_gone();
        assert_eq!((Arc::strong_count(&counts), counts.woken.load(Ordering::SeqCst)), (1, 1));
        let mut pending = PendingReply::of(drop);
        assert_eq!(poll(&mut pending, Waker::noop()), Some(STATUS_CANCELLED));
    }

    #[test]
    fn ends_on_two_threads_may_meet_at_any_moment() {
        const ROUNDS: usize = if cfg!(miri) { 60 } else { 20_000 };
        let counts = Arc::new(Counts::default());
        let (sender, receiver) = mpsc::channel::<Completion>();
        let answering = std::thread::spawn({
            let counts = Arc::clone(&counts);
            move || receiver.iter().for_each(|done| done.complete(counts.reply()))
        });
        let waker = Waker::from(Arc::clone(&counts));
        let mut polls = 0_u64;
        for round in 0..ROUNDS {
            let mut pending = PendingReply::of(|done| sender.send(done).unwrap());
            if round % 3 == 0 {
                // Given up after none or a few polls.
                for _ in 0..round % 7 {
                    let _ = poll(&mut pending, &waker);
                }
                continue;
            }
            while poll(&mut pending, &waker).is_none() {
                polls += 1;
                std::thread::yield_now();
            }
        }
        drop(sender);
        answering.join().unwrap();
        drop(waker);
        counts.assert_gone();
        assert_eq!(Arc::strong_count(&counts), 1, "every waker is dropped once, after {polls} polls in vain");
    }
}
