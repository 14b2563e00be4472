//! The funnel: every request passes here, in one order of checks.

use std::sync::Arc;
use std::thread::available_parallelism;

use kuzzle_broker::Broker;
use kuzzle_documents::DocumentEngine;
use kuzzle_model::{ApiError, Malformed, Request, Response};
use serde_json::json;

use crate::actions::{self, Lookup};
use crate::gate::{Gate, Place};
use crate::statistics::{OngoingRequest, Statistics};
use crate::step::Step;
use crate::{Facts, Origin};

/// Answers requests. Clones are handles to the same server.
#[derive(Clone)]
pub struct Api {
    core: Arc<Core>,
}

/// How much the api takes on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests that may be under way, from the first check to the answer; default 10,000, at least 1. One more is
    /// answered 503. One connection has at most a tenth of these places, one instance nine tenths, and the last tenth
    /// goes to those with the fewest.
    pub accepted_max: usize,
    /// Requests that may compute at the same moment; default twice the number of processors, at least 1. More wait
    /// their turn. Waiting for a disk does not count.
    pub computing_max: usize,
    /// Bounds on a single request.
    pub request: kuzzle_model::Limits,
}

/// What actions work on.
pub(crate) struct Core {
    pub(crate) documents: Arc<dyn DocumentEngine>,
    pub(crate) broker: Broker,
    pub(crate) facts: Arc<dyn Facts>,
    pub(crate) statistics: Statistics,
    request_limits: kuzzle_model::Limits,
    gate: Arc<Gate>,
}

impl Default for Limits {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Limits {
            accepted_max: 10_000,
            computing_max: 2 * processors,
            request: kuzzle_model::Limits::default(),
        }
    }
}

impl Api {
    /// Makes the api over a document engine and a broker. `facts` is what the host knows of itself and its plugins.
    pub fn new(documents: impl DocumentEngine, broker: Broker, limits: Limits, facts: Arc<dyn Facts>) -> Api {
        Api {
            core: Arc::new(Core {
                documents: Arc::new(documents),
                broker,
                facts,
                statistics: Statistics::default(),
                request_limits: limits.request,
                gate: Arc::new(Gate::new(limits.accepted_max, limits.computing_max)),
            }),
        }
    }

    /// Answers a request.
    ///
    /// All that can be done at once is done in this call, before the future is first polled: what is read is read, and
    /// a write has taken its place among all writes, so requests handled one after the other act in that order. Three
    /// things make the future pending: a write until it is durable, a search until one of the engine's threads has done
    /// it, and a server that computes for as many requests as it may, which then take turns in the order in which their
    /// futures are first polled. The future needs no particular runtime. Dropping it gives up the answer: a search ends, a
    /// write does not.
    ///
    /// The checks, in order: overload (503), token (401), controller and action given (400) and known (400), built
    /// (501); whether the request comes from where operators are, if the controller is theirs (403); then the action's
    /// own arguments. No user exists who could be denied anything else, so there is no check of rights: the anonymous
    /// user may do everything.
    pub fn handle(&self, request: Request, origin: Origin) -> impl Future<Output = Response> + Send + use<> {
        self.start(request, origin).answer()
    }

    /// Answers a request that comes as one JSON message; what is no request is answered with what is wrong with it.
    /// See [`Api::handle`].
    pub fn handle_message(
        &self,
        message: &[u8],
        origin: Origin,
    ) -> impl Future<Output = Response> + Send + use<> {
        self.handle_read(self.read(message), origin)
    }

    /// Reads a message within the limits on a single request, for a caller that wants to look at the request before it
    /// is handled by [`Api::handle_read`].
    ///
    /// # Errors
    ///
    /// With what is wrong with it, and as much of the request as could be read.
    pub fn read(&self, message: &[u8]) -> Result<Request, Malformed> {
        Request::from_message(message, &self.core.request_limits)
    }

    /// Answers what [`Api::read`] made of a message; see [`Api::handle`].
    pub fn handle_read(
        &self,
        read: Result<Request, Malformed>,
        origin: Origin,
    ) -> impl Future<Output = Response> + Send + use<> {
        let started = match read {
            Ok(request) => self.start(request, origin),
            Err(malformed) => self.refuse(malformed, &origin),
        };
        started.answer()
    }

    /// Returns the counters per protocol label. The host tells of connections through it.
    pub fn statistics(&self) -> &Statistics {
        &self.core.statistics
    }

    fn start(&self, request: Request, origin: Origin) -> Started {
        let ongoing = self.core.statistics.request_started(&origin.protocol);
        let Some(place) = self.core.gate.accept(&origin.instance, origin.connection) else {
            return Started::done(ongoing, Response::failure(request, ApiError::overloaded()));
        };
        let way = Way { core: Arc::clone(&self.core), ongoing, _place: place };
        let Some(_computing) = self.core.gate.compute_now() else {
            return Started::Queued(way, Box::new(request), origin);
        };
        match self.core.run(request, &origin) {
            Step::Done(response) => Started::done(way.ongoing, *response),
            step @ Step::Waits(_) => Started::Waits(way, step),
        }
    }

    fn refuse(&self, malformed: Malformed, origin: &Origin) -> Started {
        let ongoing = self.core.statistics.request_started(&origin.protocol);
        Started::done(ongoing, malformed.into_response())
    }
}

/// A request after the call that started it.
enum Started {
    Done(Box<Response>),
    Waits(Way, Step),
    Queued(Way, Box<Request>, Origin),
}

impl Started {
    fn done(ongoing: OngoingRequest, response: Response) -> Started {
        ongoing.answered(response.status);
        Started::Done(Box::new(response))
    }

    async fn answer(self) -> Response {
        match self {
            Started::Done(response) => *response,
            Started::Waits(way, step) => way.finish(step).await,
            Started::Queued(way, request, origin) => way.run_in_turn(*request, origin).await,
        }
    }
}

/// What an accepted request holds until it is answered.
struct Way {
    core: Arc<Core>,
    ongoing: OngoingRequest,
    _place: Place,
}

impl Way {
    async fn finish(self, step: Step) -> Response {
        let response = match step {
            Step::Done(response) => *response,
            Step::Waits(answer) => answer.await,
        };
        self.ongoing.answered(response.status);
        response
    }

    async fn run_in_turn(self, request: Request, origin: Origin) -> Response {
        let computing = self.core.gate.compute_later().await;
        let step = self.core.run(request, &origin);
        drop(computing);
        self.finish(step).await
    }
}

impl Core {
    /// Checks who asks for what, and starts the action.
    fn run(&self, request: Request, origin: &Origin) -> Step {
        if request.authorization.as_deref().is_some_and(has_token) {
            return Step::failure(request, unknown_token());
        }
        if request.controller.is_empty() {
            return Step::failure(request, ApiError::no_controller());
        }
        if request.action.is_empty() {
            return Step::failure(request, ApiError::no_action());
        }
        match actions::find(&request.controller, &request.action) {
            Lookup::Built(_) if actions::is_for_operators(&request.controller) && !origin.is_operator => {
                let error = ApiError::operators_only(&request.controller);
                Step::failure(request, error)
            }
            Lookup::Built(run) => run(self, request, origin),
            Lookup::NotYet => {
                let error = ApiError::not_built(&request.action, &request.controller);
                Step::failure(request, error)
            }
            Lookup::Unknown => {
                let error = ApiError::unknown_action(&request.action, &request.controller);
                Step::failure(request, error)
            }
        }
    }
}

/// Tells whether a header `Authorization` carries a Bearer token; anything else means the anonymous user.
fn has_token(authorization: &str) -> bool {
    authorization.strip_prefix("Bearer ").is_some_and(|token| !token.trim().is_empty())
}

/// No user exists yet, so this server has issued no token.
fn unknown_token() -> ApiError {
    ApiError::token_invalid()
        .with_details(json!({"subCode": 2, "description": "the token was not issued by this server"}))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use kuzzle_broker::{NoHost, SystemClock};
    use kuzzle_documents::{Documents, Options, SyncPolicy};
    use kuzzle_model::ids;

    use super::*;
    use crate::{PluginFacts, ServerFacts};

    struct NoFacts;

    impl Facts for NoFacts {
        fn server(&self) -> ServerFacts {
            ServerFacts { uptime: Duration::ZERO, ..ServerFacts::default() }
        }

        fn plugins(&self) -> Vec<PluginFacts> {
            Vec::new()
        }
    }

    struct Directory(PathBuf);

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn one_at_a_time() -> (Api, Directory) {
        let directory = Directory(std::env::temp_dir().join(format!("kuzzle-api-{}", ids::request_id())));
        let options = Options { sync: SyncPolicy::Os, ..Options::default() };
        let documents = Documents::open(&directory.0, options).unwrap();
        let limits = Limits { computing_max: 1, accepted_max: 20, ..Limits::default() };
        let broker =
            Broker::in_memory(kuzzle_broker::Options::default(), Arc::new(NoHost), Arc::new(SystemClock));
        (Api::new(documents, broker, limits, Arc::new(NoFacts)), directory)
    }

    type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn now(api: &Api) -> Answer {
        let request = Request { controller: "read".into(), action: "now".into(), ..Request::default() };
        Box::pin(api.handle(request, Origin::new("carrier-pigeon", "pigeons", 0)))
    }

    fn poll(answer: &mut Answer) -> Option<u16> {
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => Some(response.status),
            Poll::Pending => None,
        }
    }

    #[test]
    fn requests_take_turns_when_as_many_compute_as_may() {
        let (api, _directory) = one_at_a_time();
        let computing = api.core.gate.compute_now();
        let (mut first, mut second) = (now(&api), now(&api));
        assert_eq!((poll(&mut first), poll(&mut second)), (None, None));
        drop(computing);
        assert_eq!(poll(&mut second), None, "the first is before it");
        assert_eq!(poll(&mut first), Some(200));
        assert_eq!(poll(&mut second), Some(200));
        assert_eq!(poll(&mut now(&api)), Some(200));
    }

    #[test]
    fn a_request_given_up_while_it_waits_lets_the_next_one_in() {
        let (api, _directory) = one_at_a_time();
        let computing = api.core.gate.compute_now();
        let (mut first, mut second) = (now(&api), now(&api));
        assert_eq!((poll(&mut first), poll(&mut second)), (None, None));
        drop(first);
        drop(computing);
        assert_eq!(poll(&mut second), Some(200));
        assert_eq!(api.statistics().traffic("carrier-pigeon").ongoing, 0);
    }

    #[tokio::test]
    async fn waiting_for_the_disk_is_not_computing() {
        let (api, _directory) = one_at_a_time();
        let create = || Request {
            controller: "write".into(),
            action: "create".into(),
            index: Some("i".into()),
            collection: Some("c".into()),
            body: json!({"a": 1}),
            ..Request::default()
        };
        let writes: Vec<_> =
            (0..5).map(|_| api.handle(create(), Origin::new("carrier-pigeon", "pigeons", 0))).collect();
        assert_eq!(poll(&mut now(&api)), Some(200));
        for write in writes {
            assert_eq!(write.await.status, 200);
        }
    }

    #[tokio::test]
    async fn waiting_for_a_search_is_not_computing() {
        let (api, _directory) = one_at_a_time();
        let ask = |controller: &str, action: &str, body| {
            let request = Request {
                controller: controller.into(),
                action: action.into(),
                index: Some("i".into()),
                collection: Some("c".into()),
                body,
                ..Request::default()
            };
            api.handle(request, Origin::new("carrier-pigeon", "pigeons", 0))
        };
        assert_eq!(ask("write", "create", json!({"a": 1})).await.status, 200);
        let searches = [("read", "search"), ("read", "count"), ("write", "deleteByQuery")]
            .map(|(controller, action)| ask(controller, action, json!({})));
        assert_eq!(poll(&mut now(&api)), Some(200));
        for search in searches {
            assert_eq!(search.await.status, 200);
        }
        // Given up, it is neither completed nor failed.
        let given_up = ask("read", "search", json!({}));
        let before = api.statistics().traffic("carrier-pigeon");
        drop(given_up);
        let after = api.statistics().traffic("carrier-pigeon");
        assert_eq!((before.ongoing, after.ongoing), (1, 0));
        assert_eq!((before.completed, before.failed), (after.completed, after.failed));
    }

    #[test]
    fn requests_that_wait_their_turn_are_accepted_ones() {
        let (api, _directory) = one_at_a_time();
        let _computing = api.core.gate.compute_now();
        let mut waiting: Vec<Answer> = (0..18).map(|_| now(&api)).collect();
        assert!(waiting.iter_mut().all(|answer| poll(answer).is_none()));
        assert_eq!(poll(&mut now(&api)), Some(503));
        waiting.pop();
        assert_eq!(poll(&mut now(&api)), None);
    }
}
