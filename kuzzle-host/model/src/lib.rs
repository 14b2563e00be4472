//! Requests, responses, notifications and the registry of errors: plain data.
//!
//! Nothing here opens a file or a socket or reads a clock; times are arguments. Every protocol's messages become one
//! [`Request`], every answer leaves through the one serialiser of [`Response`], so that the same question gets the
//! same answer wherever it came from.

mod error;
pub mod ids;
mod json;
pub mod limits;
mod notification;
mod request;
mod response;

pub use error::{ApiError, ErrorId, errors_as_markdown};
pub use json::{RawJson, kind_of};
pub use limits::Limits;
pub use notification::{Notification, NotificationResult, Scope, State};
pub use request::{Malformed, Request, RouteParts};
pub use response::{DocumentResult, Response, ResponseResult};
