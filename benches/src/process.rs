//! Server processes on a core of their own, and what the kernel says that they used.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::Outcome;

/// A server that ends with its handle.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process has used so far.
pub(crate) struct Usage {
    /// Hundredths of a second, user and system: the kernel's fixed unit towards programs.
    ticks: u32,
    resident_kib: u32,
    written_kib: u32,
    folder_kib: u32,
}

impl Usage {
    /// CPU time.
    pub(crate) fn cpu_seconds_since(&self, before: &Self) -> f64 {
        f64::from(self.ticks.saturating_sub(before.ticks)) / 100.0
    }

    /// Bytes that were sent to the disk.
    pub(crate) fn written_kib_since(&self, before: &Self) -> f64 {
        f64::from(self.written_kib.saturating_sub(before.written_kib))
    }

    /// Growth of the data folder. It can shrink, too.
    pub(crate) fn folder_kib_since(&self, before: &Self) -> f64 {
        f64::from(self.folder_kib) - f64::from(before.folder_kib)
    }

    /// `VmRSS`.
    pub(crate) fn resident_mib(&self) -> f64 {
        f64::from(self.resident_kib) / 1_024.0
    }
}

impl Process {
    /// Start a program there. `taskset` becomes the program, so the process id is the program's.
    pub(crate) fn on_core_0(
        program: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
        log: Option<&Path>,
    ) -> Outcome<Self> {
        let log = match log {
            Some(path) => {
                Stdio::from(fs::File::create(path).map_err(|failure| failure.to_string())?)
            }
            None => Stdio::null(),
        };
        Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map(Self)
            .map_err(|failure| {
                format!(
                    "{} cannot be started with taskset: {failure}",
                    program.display()
                )
            })
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// `VmRSS`.
    pub(crate) fn resident_kib(&self) -> Outcome<u32> {
        let text = self.read("status")?;
        Ok(number_after(&text, "VmRSS:"))
    }

    /// What it used so far, and the size of its data folder.
    pub(crate) fn usage(&self, folder: Option<&Path>) -> Outcome<Usage> {
        let text = self.read("stat")?;
        // The name, in parentheses, may hold spaces. User and system time are fields 14 and 15.
        let fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks = fields
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u32>().ok())
            .sum();
        let io = self.read("io")?;
        let written = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "));
        let written: u64 = written.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        Ok(Usage {
            ticks,
            resident_kib: self.resident_kib()?,
            written_kib: kib(written),
            folder_kib: folder.map_or(0, |folder| kib(bytes_of(folder))),
        })
    }

    fn read(&self, name: &str) -> Outcome<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.0.id()))
            .map_err(|failure| format!("a server has ended: {failure}"))
    }
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes / 1_024).unwrap_or(u32::MAX)
}

/// Size of the database's files.
fn bytes_of(folder: &Path) -> u64 {
    let files = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let data = files.filter(|file| file.file_name().to_string_lossy().contains(".db"));
    data.filter_map(|file| file.metadata().ok())
        .map(|file| file.len())
        .sum()
}

fn number_after(text: &str, mark: &str) -> u32 {
    let rest = text.split_once(mark).map_or("", |(_, rest)| rest);
    rest.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Outcome<u16> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|failure| format!("no port on loopback: {failure}"))
}

/// Start this program again, pinned, as the load generator.
pub(crate) fn again_on_core_1(arguments: &[&str]) -> Outcome<()> {
    let own = std::env::current_exe().map_err(|failure| failure.to_string())?;
    let status = Command::new("taskset")
        .args(["-c", "1"])
        .arg(own)
        .arg("--pinned")
        .args(arguments)
        .status()
        .map_err(|failure| {
            format!("taskset (of util-linux) and two cores are needed: {failure}")
        })?;
    if status.success() {
        Ok(())
    } else {
        Err("the run failed".to_owned())
    }
}

/// The first number of `/proc/loadavg`.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Model and number of cores.
pub(crate) fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = text
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    format!(
        "{}, {cores} cores",
        model.map_or("unknown", |(_, model)| model)
    )
}
