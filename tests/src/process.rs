//! A child process whose output is kept line by line.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::PATIENCE;

/// A running program. It is killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Arc<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: Mutex<Vec<String>>,
    more: Condvar,
}

impl Process {
    /// Starts a program; what it prints on either stream is kept.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let lines = Arc::new(Lines::default());
        keep(child.stdout.take().expect("piped"), lines.clone());
        keep(child.stderr.take().expect("piped"), lines.clone());
        Self { child, lines }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has printed so far.
    pub fn log(&self) -> String {
        self.lines.kept.lock().join("\n")
    }

    /// How many lines it has printed so far.
    pub fn lines(&self) -> usize {
        self.lines.kept.lock().len()
    }

    /// Waits for a line, among those after the first `from`, that `wanted` accepts, and returns it.
    ///
    /// # Panics
    ///
    /// When the program ends, or patience does, before such a line came.
    pub fn wait_for_line(&mut self, what: &str, from: usize, wanted: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        let lines = self.lines.clone();
        let mut kept = lines.kept.lock();
        let mut seen = from;
        let mut ended = false;
        loop {
            if let Some(line) = kept.iter().skip(seen).find(|line| wanted(line)) {
                return line.clone();
            }
            seen = kept.len().max(from);
            assert!(!ended, "the program ended before {what}; it printed:\n{}", kept.join("\n"));
            assert!(started.elapsed() < PATIENCE, "waited in vain for {what}; printed:\n{}", kept.join("\n"));
            lines.more.wait_for(&mut kept, std::time::Duration::from_millis(50));
            ended = kept.len() == seen && matches!(self.child.try_wait(), Ok(Some(_)));
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child's status")
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When patience ends first.
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "process {} does not end:\n{}", self.id(), self.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Sends it a signal, such as `TERM` or `HUP`.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn signal(&self, name: &str) {
        crate::run_for_text(Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()));
    }

    /// Kills it at once, as a crash would, and waits until it is gone. What it has started goes with it, when it leads a
    /// group of processes as `timeout` does.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            let group = format!("-{}", self.id());
            let _leads_none =
                Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        }
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn keep(stream: impl Read + Send + 'static, lines: Arc<Lines>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            lines.kept.lock().push(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned());
            lines.more.notify_all();
        }
    });
}

/// Sends each line of a stream on, until it ends or nobody listens.
pub fn forward_lines(stream: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}
