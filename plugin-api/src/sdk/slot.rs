//! An answer of the host as a future.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::abi::{Completion, CompletionTarget, Reply};

/// The answer to a call, to be awaited. The call is under way whether this is polled or not; dropping it throws the
/// answer away when it comes.
///
/// Costs one allocation. An answer that the host gives inside the call is there at the first poll.
#[must_use = "the answer comes by awaiting this"]
pub struct PendingReply {
    slot: Arc<Slot>,
}

impl PendingReply {
    /// Makes a call that takes a completion, and gives its answer as a future.
    pub fn of(call: impl FnOnce(Completion)) -> Self {
        let slot = Arc::new(Slot { state: Mutex::new(State::Empty) });
        call(Completion::to_target(Arc::clone(&slot)));
        Self { slot }
    }

    /// An answer that is already known.
    pub fn ready(reply: Reply) -> Self {
        Self { slot: Arc::new(Slot { state: Mutex::new(State::Full(reply)) }) }
    }
}

impl Future for PendingReply {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let mut state = self.slot.state.lock();
        if matches!(&*state, State::Waiting(waker) if waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Full(reply) => Poll::Ready(reply),
            // Polled again after it was ready, which the contract of futures leaves open.
            State::Taken => Poll::Ready(Reply::cancelled()),
            before @ (State::Empty | State::Waiting(_)) => {
                *state = State::Waiting(context.waker().clone());
                // A waker may free a task when it is dropped, which must not happen under the lock.
                drop(state);
                drop(before);
                Poll::Pending
            }
        }
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        // What was there is dropped after the lock: freeing a reply calls the host.
        let _left = std::mem::replace(&mut *self.slot.state.lock(), State::Taken);
    }
}

struct Slot {
    state: Mutex<State>,
}

enum State {
    Empty,
    Waiting(Waker),
    Full(Reply),
    Taken,
}

impl CompletionTarget for Slot {
    fn complete(&self, reply: Reply) {
        let mut state = self.state.lock();
        if matches!(*state, State::Taken) {
            drop(state);
            return;
        }
        let before = std::mem::replace(&mut *state, State::Full(reply));
        drop(state);
        if let State::Waiting(waker) = before {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    fn reply(status: u32) -> Reply {
        Reply { status, ..Reply::cancelled() }
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll(pending: &mut PendingReply, waker: &Waker) -> Option<u32> {
        match Pin::new(pending).poll(&mut Context::from_waker(waker)) {
            Poll::Ready(reply) => Some(reply.status),
            Poll::Pending => None,
        }
    }

    #[test]
    fn an_answer_inside_the_call_is_there_at_once() {
        let mut pending = PendingReply::of(|done| done.complete(reply(200)));
        assert_eq!(poll(&mut pending, Waker::noop()), Some(200));
    }

    #[test]
    fn a_later_answer_wakes_the_last_waker_once() {
        let mut taken = None;
        let mut pending = PendingReply::of(|done| taken = Some(done));
        let (first, last) = (Arc::new(Count::default()), Arc::new(Count::default()));
        assert_eq!(poll(&mut pending, &first.clone().into()), None);
        assert_eq!(poll(&mut pending, &last.clone().into()), None);
        std::thread::spawn(move || taken.unwrap().complete(reply(201))).join().unwrap();
        assert_eq!((first.0.load(Ordering::SeqCst), last.0.load(Ordering::SeqCst)), (0, 1));
        assert_eq!(poll(&mut pending, Waker::noop()), Some(201));
    }

    #[test]
    fn dropping_either_end_first_is_safe() {
        let mut taken = None;
        let pending = PendingReply::of(|done| taken = Some(done));
        drop(pending);
        taken.unwrap().complete(reply(200));

        let mut pending = PendingReply::of(drop);
        assert_eq!(poll(&mut pending, Waker::noop()), Some(crate::abi::STATUS_CANCELLED));
    }

    #[test]
    fn answers_from_other_threads_all_arrive() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel::<Completion>();
        let answering =
            std::thread::spawn(move || receiver.iter().for_each(|done| done.complete(reply(200))));
        let total: u32 = runtime.block_on(async {
            let mut total = 0;
            for _ in 0..10_000 {
                total += PendingReply::of(|done| sender.send(done).unwrap()).await.status;
            }
            total
        });
        drop(sender);
        answering.join().unwrap();
        assert_eq!(total, 2_000_000);
    }
}
