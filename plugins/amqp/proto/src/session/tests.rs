//! Sessions against a small model of a broker: what each method does, and what each mistake gets.

mod basic;
mod bench;
mod channel;
mod confirm_and_tx;
mod connection;
mod exchange_and_queue;
mod flow;
mod model;
mod random;
mod units;

use self::bench::Bench;
use crate::codec::method;
