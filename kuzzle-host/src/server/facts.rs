//! What the server knows of its process and its machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use kuzzle_api::{
    BackupError, BackupFacts, CpuFacts, CpuTimes, Facts, PluginFacts, Problem, ServerFacts, SwitchError,
};
use kuzzle_documents::Pending;

use super::VERSION;
use crate::backup::Backups;
use crate::logging;
use crate::plugins::{Status, commands};

/// Milliseconds of the unit in which the kernel counts processor time for programs (`USER_HZ` is 100 on all platforms).
const TICK_MS: u64 = 10;

/// Facts as the kernel tells them; where it does not, they are zero.
pub(super) struct HostFacts {
    started: Instant,
    plugins: Status,
    /// The file that declares the plugins.
    plugins_file: PathBuf,
    backups: Backups,
}

impl HostFacts {
    pub(super) fn new(started: Instant, plugins: Status, plugins_file: PathBuf, backups: Backups) -> Self {
        Self { started, plugins, plugins_file, backups }
    }
}

impl Facts for HostFacts {
    fn server(&self) -> ServerFacts {
        of_process(self.started)
    }

    fn plugins(&self) -> Vec<PluginFacts> {
        self.plugins.facts()
    }

    fn backup(&self, directory: &str) -> Pending<Result<BackupFacts, BackupError>> {
        self.backups.start(directory)
    }

    fn set_enabled(&self, instance: &str, enabled: bool) -> Result<String, SwitchError> {
        let done = commands::set_enabled(&self.plugins_file, instance, enabled);
        if let Ok(done) = &done {
            tracing::info!(instance, enabled, done, "an operator switches a protocol");
        }
        done.map_err(|error| match error.is_unknown() {
            true => SwitchError::Unknown(error.to_string()),
            false => SwitchError::Unusable(error.to_string()),
        })
    }

    fn problems(&self) -> Vec<Problem> {
        logging::problems()
    }
}

fn of_process(started: Instant) -> ServerFacts {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (machine, process) = (read("/proc/meminfo"), read("/proc/self/status"));
    let (machine, process) = (table(&machine), table(&process));
    ServerFacts {
        version: VERSION.to_owned(),
        uptime: started.elapsed(),
        memory_used_bytes: kibibytes(&process, "VmRSS"),
        memory_total_bytes: kibibytes(&machine, "MemTotal"),
        memory_free_bytes: kibibytes(&machine, "MemFree"),
        cpus: cpus(&read("/proc/cpuinfo"), &read("/proc/stat")),
    }
}

/// Lines `name: value`.
fn table(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect()
}

fn kibibytes(table: &BTreeMap<&str, &str>, name: &str) -> u64 {
    let number = table.get(name).and_then(|value| value.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() * 1024
}

fn cpus(info: &str, stat: &str) -> Vec<CpuFacts> {
    let of_processor = |block: &str| {
        let block = table(block);
        let speed = block.get("cpu MHz").and_then(|it| it.parse::<f64>().ok()).unwrap_or_default();
        let model = block.get("model name").copied().unwrap_or_default().to_owned();
        (model, speed as u64)
    };
    let models: Vec<(String, u64)> =
        info.split("\n\n").filter(|block| block.contains("processor")).map(of_processor).collect();
    // `cpu` alone is the sum of all.
    let lines = stat.lines().filter(|line| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    });
    let of_line = |(number, line): (usize, &str)| {
        let ticks: Vec<u64> =
            line.split_whitespace().skip(1).map(|it| it.parse().unwrap_or_default()).collect();
        let ms = |at: usize| ticks.get(at).copied().unwrap_or_default().saturating_mul(TICK_MS);
        let (model, speed_mhz) = models.get(number).cloned().unwrap_or_default();
        // The columns are user, nice, system, idle, waiting for the disk, and interrupts.
        let times = CpuTimes { user_ms: ms(0), nice_ms: ms(1), sys_ms: ms(2), idle_ms: ms(3), irq_ms: ms(5) };
        CpuFacts { model, speed_mhz, times }
    };
    lines.enumerate().map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_read_with_their_times() {
        let info = "processor\t: 0\nmodel name\t: Fast One\ncpu MHz\t\t: 2500.400\n\nprocessor\t: 1\nmodel name\t: Slow One\n";
        let stat = "cpu  9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7\ncpu1 10 0 0 40 0 0 0\nintr 5\n";
        let found = cpus(info, stat);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].model.as_str(), found[0].speed_mhz), ("Fast One", 2500));
        let times = CpuTimes { user_ms: 10, nice_ms: 20, sys_ms: 30, idle_ms: 40, irq_ms: 60 };
        assert_eq!(found[0].times, times);
        assert_eq!((found[1].model.as_str(), found[1].times.idle_ms), ("Slow One", 400));
        assert!(cpus("", "garbage").is_empty());
    }

    #[test]
    fn the_process_has_memory() {
        let facts = of_process(Instant::now());
        assert!(facts.memory_used_bytes > 0 && facts.memory_total_bytes > facts.memory_used_bytes);
    }
}
