//! How far an action came in the call that started it.

use std::pin::Pin;

use kuzzle_model::{ApiError, Request, Response, ResponseResult};

/// What an action returns: the answer, or what it waits for.
pub(crate) enum Step {
    /// Answered from memory or a read.
    Done(Box<Response>),
    /// Submitted; the answer follows when the write is durable. Dropping it does not take the write back.
    Waits(Pin<Box<dyn Future<Output = Response> + Send>>),
}

impl Step {
    pub(crate) fn success(request: Request, result: ResponseResult) -> Step {
        Step::Done(Box::new(Response::success(request, result)))
    }

    pub(crate) fn failure(request: Request, error: ApiError) -> Step {
        Step::Done(Box::new(Response::failure(request, error)))
    }

    pub(crate) fn waits(answer: impl Future<Output = Response> + Send + 'static) -> Step {
        Step::Waits(Box::pin(answer))
    }
}
