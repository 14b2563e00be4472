//! How far an action came in the call that started it.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use kuzzle_documents::Answer;
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

    /// Answers with what an engine says, in this call if it says it at once.
    pub(crate) fn when<T: Send + 'static>(
        request: Request,
        answer: Answer<T>,
        finish: impl FnOnce(Request, T) -> Response + Send + 'static,
    ) -> Step {
        match answer {
            Answer::Now(found) => Step::Done(Box::new(finish(request, found))),
            Answer::Later(found) => Step::waits(async move { finish(request, found.await) }),
        }
    }

    /// Goes as far as it can without waiting, in this call.
    pub(crate) fn begin(answer: impl Future<Output = Response> + Send + 'static) -> Step {
        let mut answer = Box::pin(answer);
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => Step::Done(Box::new(response)),
            Poll::Pending => Step::Waits(answer),
        }
    }
}
