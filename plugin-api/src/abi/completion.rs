//! Answers that come later.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::std_types::RString;

use super::{ApiError, Blob, guard};

/// Status of a [`Reply`] to a call whose [`Completion`] was dropped without an answer.
pub const STATUS_CANCELLED: u32 = 499;

/// The answer to a call that completes later.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Reply {
    /// Status as in HTTP; for a request that of the response inside `body`.
    pub status: u32,
    /// Id of the request that this answers, as the response carries it; empty where there is none.
    pub request_id: RString,
    /// The JSON response, ready to send, also when the status tells of an error. Empty only for
    /// [`STATUS_CANCELLED`].
    pub body: Blob,
}

impl Reply {
    /// The reply to a call that nobody answered.
    #[must_use]
    pub fn cancelled() -> Self {
        Self { status: STATUS_CANCELLED, request_id: RString::new(), body: Blob::empty() }
    }

    /// The reply that carries `error` as a minimal JSON response, for answers that no request came to be built for.
    #[must_use]
    pub fn from_error(error: &ApiError) -> Self {
        let body = serde_json::json!({
            "error": { "message": error.message.as_str() }, "result": null, "status": error.status
        });
        Self { status: error.status, request_id: RString::new(), body: body.to_string().into() }
    }
}

/// The right and the duty to answer one call.
///
/// It is answered exactly once: by [`complete`](Self::complete), or, when it is dropped before, with
/// [`Reply::cancelled`]. The answer may be given on any thread, also before the call that it was passed to has returned.
#[repr(C)]
#[derive(StableAbi)]
pub struct Completion {
    target: *const (),
    /// Gives the answer to `target` and takes both over. Any thread, in any state, also after the instance has stopped;
    /// called once, never blocks, cannot fail: a panic of the receiver is contained there.
    call: unsafe extern "C" fn(target: *const (), reply: Reply),
}

/// What receives the answer of a [`Completion`].
pub trait CompletionTarget: Send + Sync + 'static {
    /// Takes the answer. Called once at most, on any thread, and must not block: it wakes whoever waits.
    fn complete(&self, reply: Reply);
}

impl Completion {
    /// A completion that answers to a shared target. Costs no allocation.
    #[must_use]
    pub fn to_target<T: CompletionTarget>(target: Arc<T>) -> Self {
        Self { target: Arc::into_raw(target).cast(), call: call_target::<T> }
    }

    /// A completion that calls a function with a pointer.
    ///
    /// # Safety
    ///
    /// `call` must take `target` once, on any thread, must not block and must not panic.
    pub(super) const unsafe fn from_raw(
        target: *const (),
        call: unsafe extern "C" fn(target: *const (), reply: Reply),
    ) -> Self {
        Self { target, call }
    }

    /// A completion that calls a closure. Costs one allocation.
    pub fn to_fn(call: impl FnOnce(Reply) + Send + 'static) -> Self {
        struct Once<F>(std::sync::Mutex<Option<F>>);
        impl<F: FnOnce(Reply) + Send + 'static> CompletionTarget for Once<F> {
            fn complete(&self, reply: Reply) {
                let call = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                if let Some(call) = call {
                    call(reply);
                }
            }
        }
        Self::to_target(Arc::new(Once(std::sync::Mutex::new(Some(call)))))
    }

    /// Gives the answer.
    pub fn complete(self, reply: Reply) {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `target` and `call` were made together and `this` holds the only right to call; dropping is disarmed.
        unsafe { (this.call)(this.target, reply) }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        // SAFETY: as in `complete`, which disarms this.
        unsafe { (self.call)(self.target, Reply::cancelled()) }
    }
}

// SAFETY: the target is `Send + Sync` (a bound of the trait) and the right to call moves with the value.
unsafe impl Send for Completion {}
// SAFETY: nothing can be done through a shared reference.
unsafe impl Sync for Completion {}

unsafe extern "C" fn call_target<T: CompletionTarget>(target: *const (), reply: Reply) {
    guard(
        // SAFETY: `target` came from `Arc::<T>::into_raw` in `to_target`; the one call takes that reference back.
        || unsafe { Arc::from_raw(target.cast::<T>()) }.complete(reply),
        |_panic| (),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn it_answers_once_and_a_drop_is_an_answer() {
        let (sender, receiver) = mpsc::channel();
        let to =
            |sender: mpsc::Sender<u32>| Completion::to_fn(move |reply| sender.send(reply.status).unwrap());
        to(sender.clone()).complete(Reply { status: 200, ..Reply::cancelled() });
        drop(to(sender));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [200, STATUS_CANCELLED]);
    }

    #[test]
    fn a_panicking_target_is_contained() {
        Completion::to_fn(|_| panic!("boom")).complete(Reply::cancelled());
    }
}
