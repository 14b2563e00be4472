//! Measures the document store: `cargo run --release -p kuzzle-documents --example measure_documents -- DIR [DOCUMENTS] [WRITERS]`.
//!
//! Loads documents of about 200 bytes (10,000,000 unless told) from so many waiting writers (64), each of which submits
//! its next write when the last one is answered, that is, when it is on stable storage; then reads and overwrites some at
//! random. Ends without closing the store, so that a second run with `reopen` for DOCUMENTS measures the start after a
//! crash. DIR should be empty at first.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use kuzzle_documents::{Documents, Options, Write};
use serde_json::json;

const COLLECTIONS: u64 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = arguments.first().ok_or("usage: measure DIR [DOCUMENTS|reopen] [WRITERS]")?;
    let started = Instant::now();
    let documents = Documents::open(Path::new(directory), Options::default())?;
    println!("open                 {:>9.1} ms", started.elapsed().as_secs_f64() * 1e3);
    if arguments.get(1).is_some_and(|argument| argument == "reopen") {
        // What was written last answers at once, out of the journal if need be.
        let found = documents.get("index", "collection-0", &id(0))?.is_some();
        println!("first read           {:>9.1} ms, found: {found}", started.elapsed().as_secs_f64() * 1e3);
        return Ok(());
    }
    let count = arguments.get(1).map_or(Ok(10_000_000), |text| text.parse())?;
    let writers = arguments.get(2).map_or(Ok(64), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;

    phase("load", count, || {
        runtime.block_on(write(&documents, writers, count / writers, move |writer, n| n * writers + writer))
    })?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let reads = count.min(300_000);
    phase("random get", reads, || {
        let mut times = Vec::new();
        for _ in 0..reads {
            let number = random.below(count / writers * writers);
            let started = Instant::now();
            documents.get("index", &collection(number), &id(number))?.ok_or("a document is missing")?;
            times.push(started.elapsed());
        }
        Ok(times)
    })?;
    let overwrites = count.min(256_000);
    phase("random overwrite", overwrites, || {
        runtime.block_on(write(&documents, writers, overwrites / writers, move |writer, n| {
            Random(n * writers + writer + 1).below(count / writers * writers)
        }))
    })?;
    println!("on disk              {:>9} MiB", documents.health().used_bytes >> 20);
    // As a crash would: nothing is handed over, nothing closed.
    std::process::abort();
}

/// So many writers at once, each of which writes `each` documents one after the other.
async fn write(
    documents: &Documents,
    writers: u64,
    each: u64,
    number: impl Fn(u64, u64) -> u64 + Copy + Send + 'static,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let documents = documents.clone();
            async move {
                let mut times = Vec::with_capacity(each as usize);
                for n in 0..each {
                    let number = number(writer, n);
                    let source = json!({
                        "name": format!("pump-{}", number % 1000), "value": number, "tags": ["a", "b"],
                        "text": format!("{:0110x}", mix(number)), "running": true,
                    });
                    let started = Instant::now();
                    let (index, collection) = ("index".to_owned(), collection(number));
                    documents
                        .write(Write::CreateOrReplace { index, collection, id: Some(id(number)), source })
                        .await?;
                    times.push(started.elapsed());
                }
                Ok::<_, kuzzle_documents::Error>(times)
            }
        })
        .collect();
    let local = tokio::task::LocalSet::new();
    let handles: Vec<_> = tasks.into_iter().map(|task| local.spawn_local(task)).collect();
    local.await;
    let mut times = Vec::new();
    for handle in handles {
        times.extend(handle.await??);
    }
    Ok(times)
}

fn phase(
    name: &str,
    count: u64,
    run: impl FnOnce() -> Result<Vec<Duration>, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let (started, cpu) = (Instant::now(), cpu_time());
    let mut times = run()?;
    let (took, cpu) = (started.elapsed(), cpu_time() - cpu);
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{name:<20} {:>9.0} /s, processor {:.1} us each, p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms, memory {} MiB (most {})",
        count as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count as f64,
        at(0.5),
        at(0.99),
        at(1.0),
        status("VmRSS:"),
        status("VmHWM:"),
    );
    Ok(())
}

/// Processor time of this process so far, as Linux tells it in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default() / 1024
}

fn collection(number: u64) -> String {
    format!("collection-{}", number % COLLECTIONS)
}

/// Like generated ids: growing with time, and 20 characters long.
fn id(number: u64) -> String {
    format!("{:010}{:010x}", number / COLLECTIONS, mix(number) & 0xff_ffff_ffff)
}

fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number ^ (number >> 27)
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % n
    }
}
