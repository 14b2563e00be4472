//! A network of one's own, in which every port is free and the product's usual ports can be used as they are.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A network namespace with nothing but a loopback interface. It ends when dropped.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
    as_user: bool,
}

impl Namespace {
    /// Makes one, or returns none where that is not allowed.
    pub fn new() -> Option<Self> {
        Self::make(false).or_else(|| Self::make(true))
    }

    fn make(as_user: bool) -> Option<Self> {
        let mut command = Command::new("unshare");
        command.arg(if as_user { "-Urn" } else { "-n" });
        command.args(["sh", "-c", "ip link set lo up && echo up && exec cat"]);
        // `cat` waits on its input, which ends with this process whatever happens to it.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = command.spawn().ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut()?).read_line(&mut line).ok()?;
        let namespace = Self { holder, as_user };
        (line == "up\n").then_some(namespace)
    }

    /// A command that runs `program` inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("-t").arg(self.holder.id().to_string());
        if self.as_user {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.arg("-n").arg("--").arg(program);
        command
    }

    /// A command that runs `program` inside, where `name` is one more name of the loopback interface.
    pub fn command_with_host(&self, name: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        const SCRIPT: &str = r#"
            hosts=$(mktemp)
            printf '127.0.0.1 localhost %s\n::1 localhost\n' "$1" > "$hosts"
            mount --bind "$hosts" /etc/hosts
            rm "$hosts"
            shift
            exec "$@""#;
        let mut command = self.command("unshare");
        command.args(["-m", "sh", "-euc", SCRIPT, "sh", name]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ended = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}
