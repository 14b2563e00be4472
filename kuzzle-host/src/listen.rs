//! Binding addresses, and who may be let in through them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait in a listener's backlog.
const BACKLOG: i32 = 1024;

/// Refuses an address that other machines reach while everyone may do everything.
///
/// A fresh installation has no user, so each client is the anonymous user with all rights; only clients of this machine
/// are let in then, unless `open_network` says otherwise.
///
/// # Errors
///
/// When `address` is not a loopback address and `open_network` is false.
pub fn check_exposure(address: SocketAddr, open_network: bool) -> Result<(), OpenToEveryone> {
    if open_network || address.ip().to_canonical().is_loopback() {
        Ok(())
    } else {
        Err(OpenToEveryone { address })
    }
}

/// An address that would open the server to everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenToEveryone {
    /// The address.
    pub address: SocketAddr,
}

impl fmt::Display for OpenToEveryone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("open to everyone; run kuzzle-host admin create, or set security.open_network = true")
    }
}

impl std::error::Error for OpenToEveryone {}

/// Binds `address` and listens: non-blocking, close-on-exec. Port 0 takes a free one, see
/// [`TcpListener::local_addr`].
///
/// # Errors
///
/// When it cannot be bound; see [`BindError::is_missing_family`] for the case that is no fault.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            // Each family is declared by itself, so that `0.0.0.0` beside `[::]` is no clash.
            socket.set_only_v6(true)?;
        }
        // A port whose last connections still linger may be bound again at once.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|source| {
        let holder = (source.kind() == ErrorKind::AddrInUse).then(|| holder_of(address)).flatten();
        BindError { address, holder, source }
    })
}

/// Why an address cannot be bound.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Who listens on it already, when that can be told.
    pub holder: Option<String>,
    /// What the system said.
    pub source: io::Error,
}

impl BindError {
    /// Whether the machine has no addresses of this family, as one without IPv6: such an address is left out with a
    /// warning as long as another one can be bound.
    #[must_use]
    pub fn is_missing_family(&self) -> bool {
        // Without IPv6, `::1` exists on no interface; for other addresses "not available" is a mistake.
        let local = self.address.ip().is_loopback() || self.address.ip().is_unspecified();
        self.source.raw_os_error() == Some(libc::EAFNOSUPPORT)
            || (self.address.is_ipv6() && local && self.source.kind() == ErrorKind::AddrNotAvailable)
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on `{}`: ", self.address)?;
        match self.source.kind() {
            ErrorKind::AddrInUse => match &self.holder {
                Some(holder) => write!(f, "the port is taken by {holder}; stop it or choose another port"),
                None => f.write_str("the port is taken; choose another one"),
            },
            ErrorKind::PermissionDenied => {
                write!(f, "ports below 1024 need a privilege ({}); choose another port", self.source)
            }
            ErrorKind::AddrNotAvailable => f.write_str("this machine does not have that address"),
            _ => write!(f, "{}", self.source),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The process that listens on `address`, as far as this user may know.
#[cfg(target_os = "linux")]
fn holder_of(address: SocketAddr) -> Option<String> {
    const LISTENING: &str = "0A";
    let port = format!("{:04X}", address.port());
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = std::fs::read_to_string(table).ok()?;
        table.lines().skip(1).find_map(|line| {
            let mut columns = line.split_whitespace();
            let local = columns.nth(1)?;
            let state = columns.nth(1)?;
            let inode = columns.nth(5)?;
            (state == LISTENING && local.rsplit_once(':')?.1 == port).then(|| inode.to_owned())
        })
    })?;
    let socket = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(descriptors) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let holds = descriptors.flatten().any(|entry| {
            std::fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == socket.as_str())
        });
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("process {pid} ({})", name.trim()));
        }
    }
    None
}

#[cfg(not(target_os = "linux"))]
fn holder_of(_address: SocketAddr) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_let_in_by_default() {
        let open = |text: &str, open| check_exposure(text.parse().unwrap(), open).is_ok();
        assert!(open("127.0.0.1:1", false));
        assert!(open("127.8.9.1:1", false));
        assert!(open("[::1]:1", false));
        assert!(open("[::ffff:127.0.0.1]:1", false));
        assert!(!open("0.0.0.0:1", false));
        assert!(!open("[::]:1", false));
        assert!(!open("192.168.1.1:1", false));
        assert!(open("0.0.0.0:1", true));
    }

    #[test]
    fn a_taken_port_names_its_holder() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = bind(first.local_addr().unwrap()).unwrap_err();
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        assert!(!error.is_missing_family());
    }

    #[test]
    fn an_address_of_another_machine_is_named() {
        let error = bind("203.0.113.1:0".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("does not have that address"), "{error}");
        assert!(!error.is_missing_family());
    }
}
