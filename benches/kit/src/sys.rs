//! What the kernel says: CPU time and memory of process trees, machine load, timerfd.
use std::{
    collections::HashMap,
    fs,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    time::Duration,
};
use tokio::io::unix::AsyncFd;

fn tick() -> f64 {
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

/// pid -> (parent, cpu seconds)
fn table() -> HashMap<u32, (u32, f64)> {
    let mut t = HashMap::new();
    for e in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = e.file_name().to_str().and_then(|s| s.parse::<u32>().ok()) else { continue };
        let Ok(s) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some(p) = s.rfind(')') else { continue };
        let f: Vec<&str> = s[p + 2..].split(' ').collect();
        let num = |i: usize| f.get(i).and_then(|x| x.parse::<f64>().ok()).unwrap_or(0.0);
        t.insert(pid, (num(1) as u32, (num(11) + num(12)) / tick()));
    }
    t
}

/// `pids` and everything below them.
fn tree(t: &HashMap<u32, (u32, f64)>, pids: &[u32]) -> Vec<u32> {
    let mut all: Vec<u32> = pids.iter().copied().filter(|p| t.contains_key(p)).collect();
    let mut i = 0;
    while i < all.len() {
        let up = all[i];
        let kids: Vec<u32> =
            t.iter().filter(|(p, v)| v.0 == up && !all.contains(p)).map(|(p, _)| *p).collect();
        all.extend(kids);
        i += 1;
    }
    all
}

/// CPU seconds used so far by `pids` and their descendants.
pub fn cpu_of(pids: &[u32]) -> f64 {
    let t = table();
    tree(&t, pids).iter().map(|p| t[p].1).sum()
}

/// Resident memory (proportional share where readable) in MiB of `pids` and their descendants.
pub fn mem_of(pids: &[u32]) -> f64 {
    let t = table();
    let kb = |f: &str, k: &str| -> Option<f64> {
        fs::read_to_string(f)
            .ok()?
            .lines()
            .find_map(|l| l.strip_prefix(k)?.split_whitespace().next()?.parse().ok())
    };
    tree(&t, pids)
        .iter()
        .map(|p| {
            kb(&format!("/proc/{p}/smaps_rollup"), "Pss:")
                .or_else(|| kb(&format!("/proc/{p}/status"), "VmRSS:"))
                .unwrap_or(0.0)
                / 1024.0
        })
        .sum()
}

/// CPU seconds this process has used.
pub fn cpu_self() -> f64 {
    let mut r: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut r) };
    let s = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    s(r.ru_utime) + s(r.ru_stime)
}

/// Busy CPU seconds of the whole machine (steal counted).
pub fn cpu_machine() -> f64 {
    let s = fs::read_to_string("/proc/stat").unwrap_or_default();
    let f: Vec<f64> =
        s.lines().next().unwrap_or("").split_whitespace().skip(1).filter_map(|x| x.parse().ok()).collect();
    [0, 1, 2, 5, 6, 7].iter().filter_map(|i| f.get(*i)).sum::<f64>() / tick()
}

/// High-resolution periodic timer: each `tick` returns how many periods have gone by.
pub struct Ticker(AsyncFd<OwnedFd>);

impl Ticker {
    pub fn new(period: Duration) -> std::io::Result<Self> {
        unsafe {
            let fd: RawFd =
                libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC);
            if fd < 0 {
                return Err(std::io::Error::last_os_error());
            }
            let t =
                libc::timespec { tv_sec: period.as_secs() as _, tv_nsec: period.subsec_nanos().max(1) as _ };
            let it = libc::itimerspec { it_interval: t, it_value: t };
            libc::timerfd_settime(fd, 0, &it, std::ptr::null_mut());
            let fd = OwnedFd::from_raw_fd(fd);
            #[allow(deprecated)]
            Ok(Ticker(AsyncFd::new(fd)?))
        }
    }

    pub async fn tick(&self) -> u64 {
        loop {
            let mut g = self.0.readable().await.expect("timerfd");
            let mut n = 0u64;
            let r = unsafe { libc::read(self.0.get_ref().as_raw_fd(), &mut n as *mut u64 as *mut _, 8) };
            if r == 8 {
                return n;
            }
            g.clear_ready();
        }
    }
}
