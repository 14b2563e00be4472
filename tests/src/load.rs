//! Numbered requests without a gap: load that notices every hesitation to answer, every error, every broken connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::{HttpClient, PATIENCE};

/// A client that sends numbered requests over one connection, one after the other, until it is stopped.
///
/// The connection is made once: any error ends the load, and [`NumberedLoad::finish`] tells of it.
#[derive(Debug)]
pub struct NumberedLoad {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: JoinHandle<Result<u64, String>>,
}

impl NumberedLoad {
    /// Load over REST: writes and reads of numbered documents.
    pub fn over_rest(address: SocketAddr) -> Self {
        Self::start(move |stop, answered| {
            let mut http = HttpClient::connect(address).map_err(|error| format!("REST: connect: {error}"))?;
            count_until(stop, answered, |number| {
                let path = format!("/api/1.0/load/rest/{}", number % 50);
                let body =
                    json!({ "body": { "number": number }, "metadata": { "number": number } }).to_string();
                let answer =
                    http.request("PUT", &path, Some(&body)).map_err(|error| format!("REST: {error}"))?;
                let answer = answer.json();
                check("REST", number, &answer, &answer["metadata"]["number"])
            })
        })
    }

    /// Load over the example plugin: one JSON request a line, one JSON response a line.
    pub fn over_lines(address: SocketAddr) -> Self {
        Self::start(move |stop, answered| {
            let wrong = |error: std::io::Error| format!("lines: {error}");
            let stream = TcpStream::connect(address).map_err(wrong)?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(wrong)?;
            let mut reader = BufReader::new(stream.try_clone().map_err(wrong)?);
            let mut writer = stream;
            count_until(stop, answered, |number| {
                let request = json!({
                    "requestId": format!("{number}"), "controller": "read", "action": "now",
                    "metadata": { "number": number }
                });
                writer.write_all(format!("{request}\n").as_bytes()).map_err(wrong)?;
                let mut line = String::new();
                if reader.read_line(&mut line).map_err(wrong)? == 0 {
                    return Err("lines: the server closed the connection".to_owned());
                }
                let answer: Value =
                    serde_json::from_str(&line).map_err(|error| format!("lines: {error}: {line}"))?;
                check("lines", number, &answer, &answer["metadata"]["number"])
            })
        })
    }

    fn start(run: impl FnOnce(&AtomicBool, &AtomicU64) -> Result<u64, String> + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let thread = std::thread::spawn({
            let (stop, answered) = (stop.clone(), answered.clone());
            move || run(&stop, &answered)
        });
        Self { stop, answered, thread }
    }

    /// Waits until some more requests have been answered.
    ///
    /// # Panics
    ///
    /// When the load has failed, or patience ends.
    pub fn wait_for_more(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        crate::wait_for("more numbered answers", || {
            let more = self.answered.load(Ordering::Relaxed) > before + 2;
            (more || self.thread.is_finished()).then_some(())
        });
    }

    /// Stops, and returns how many requests were answered.
    ///
    /// # Panics
    ///
    /// When one was not answered, answered out of order or with an error, or when the connection broke.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(Ok(count)) => count,
            Ok(Err(problem)) => panic!("the load was disturbed: {problem}"),
            Err(_) => panic!("the load panicked"),
        }
    }
}

fn count_until(
    stop: &AtomicBool,
    answered: &AtomicU64,
    mut request: impl FnMut(u64) -> Result<(), String>,
) -> Result<u64, String> {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        request(number)?;
        number += 1;
        answered.store(number, Ordering::Relaxed);
    }
    Ok(number)
}

fn check(who: &str, number: u64, answer: &Value, found: &Value) -> Result<(), String> {
    if answer["status"] != 200 || !answer["error"].is_null() || found != &json!(number) {
        return Err(format!("{who}: request {number} was answered {answer}"));
    }
    Ok(())
}
