//! `cargo xtask flood`: a million registrations leave the data folder at the size that it had
//! (invariant 1). The release binary with limits off, on loopback, under everything that the
//! catalogued agents register.
//!
//! Not here: how fast the hub is beside others; that is `cargo xtask bench`.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::run::{Outcome, program, root, target};

const CONNECTIONS: u64 = 16;
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the folder has to keep its size before it counts.
const QUIET: Duration = Duration::from_secs(3);
const SETTLES_WITHIN: Duration = Duration::from_mins(1);
/// Longest answer that is read: a `client_id` has 1,000 characters at most.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Send `count` registrations; fails if an answer is not 201 or the data folder grew.
pub(crate) fn flood(count: &str) -> Outcome {
    let count: u64 = count
        .replace(['_', ','], "")
        .parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("flood: `{count}` is not a number of registrations"))?;
    program(
        "",
        "cargo",
        &["build", "--release", "--locked", "-p", "vestibule"],
    )?;
    let folder = target().join(format!("flood-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|failure| format!("{}: {failure}", folder.display()))?;
    let outcome = run(count, &folder);
    if let Err(failure) = fs::remove_dir_all(&folder) {
        eprintln!("{} stays: {failure}", folder.display());
    }
    outcome
}

fn run(count: u64, folder: &Path) -> Outcome {
    let hub = Hub::start(folder)?;
    let requests = Arc::new(requests(&hub.host)?);
    // One of each before the size is taken: that is what a hub in use has behind it.
    let mut first = Connection::open(&hub.host)?;
    for request in requests.iter() {
        first.register(request)?;
    }
    drop(first);
    let before = settled(folder)?;
    println!(
        "{count} registrations of {} bodies on {CONNECTIONS} connections; the data folder has {before} bytes",
        requests.len()
    );
    let rss_before = hub.resident_kib()?;
    let seconds = send(count, &hub, &requests)?;
    let rss_after = hub.resident_kib()?;
    let after = settled(folder)?;
    println!(
        "{count} answers of 201 in {seconds:.1} s: {:.0} a second",
        rate(count, seconds)
    );
    println!(
        "resident memory: {} MiB before, {} MiB after",
        rss_before >> 10,
        rss_after >> 10
    );
    println!("data folder: {before} bytes before, {after} bytes after");
    if after > before {
        return Err(format!("the data folder grew by {} bytes", after - before));
    }
    Ok(())
}

/// All connections until the count is reached; gives the seconds that it took.
fn send(count: u64, hub: &Hub, requests: &Arc<Vec<Vec<u8>>>) -> Result<f64, String> {
    let (taken, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let failed = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(&hub.host)?;
        let (taken, answered) = (taken.clone(), answered.clone());
        let (failed, requests) = (failed.clone(), requests.clone());
        workers.push(thread::spawn(move || -> Outcome {
            let mut bodies = requests.iter().cycle();
            while !failed.load(Ordering::Relaxed) && taken.fetch_add(1, Ordering::Relaxed) < count {
                let Some(request) = bodies.next() else { break };
                if let Err(failure) = connection.register(request) {
                    failed.store(true, Ordering::Relaxed);
                    return Err(failure);
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }));
    }
    let mut told = Instant::now();
    while !workers.iter().all(thread::JoinHandle::is_finished) {
        thread::sleep(Duration::from_millis(50));
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            let (done, seconds) = (
                answered.load(Ordering::Relaxed),
                started.elapsed().as_secs_f64(),
            );
            let memory = hub.resident_kib()? >> 10;
            println!(
                "  {done} of {count}, {:.0} a second, {memory} MiB",
                rate(done, seconds)
            );
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    for worker in workers {
        worker
            .join()
            .map_err(|_| "a connection's thread ended".to_owned())??;
    }
    let answered = answered.load(Ordering::Relaxed);
    if answered == count {
        Ok(seconds)
    } else {
        Err(format!("{answered} answers instead of {count}"))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// A hub that ends with its handle.
struct Hub {
    process: Child,
    host: String,
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Hub {
    fn start(folder: &Path) -> Result<Self, String> {
        let failed = |failure: std::io::Error| format!("the hub cannot be started: {failure}");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(failed)?
            .port();
        let host = format!("127.0.0.1:{port}");
        let config = folder.join("vestibule.toml");
        let text = format!(
            "issuer = \"http://{host}\"\nlisten = \"{host}\"\ndata_dir = \"data\"\n[limits]\nenabled = false\n\
             [log]\nfilter = \"warn\"\n\
             [redirects]\nprivate_schemes = [\"cursor\", \"vscode\"]\n\
             [[resources]]\nuri = \"http://127.0.0.1:1/mcp\"\nname = \"Notes\"\n\
             scopes = [{{ name = \"mcp:read\", description = \"Read\", access = \"read\", default = true }}]\n"
        );
        fs::write(&config, text).map_err(failed)?;
        let process = Command::new(target().join("release").join("vestibule"))
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("hub.log")).map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let hub = Self { process, host };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let request = format!("GET /readyz HTTP/1.1\r\nhost: {}\r\n\r\n", hub.host);
            let answer = Connection::open(&hub.host)
                .and_then(|mut connection| connection.exchange(request.as_bytes()));
            if answer.is_ok_and(|(status, _)| status == 200) {
                return Ok(hub);
            }
            thread::sleep(Duration::from_millis(20));
        }
        let log = fs::read_to_string(folder.join("hub.log")).unwrap_or_default();
        Err(format!("the hub does not answer:\n{log}"))
    }

    /// `VmRSS`; Linux only.
    fn resident_kib(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.process.id());
        let text = fs::read_to_string(&path).map_err(|failure| format!("{path}: {failure}"))?;
        text.split_once("VmRSS:")
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("{path} has no VmRSS: the hub has ended"))
    }
}

/// What the catalogued agents send, as whole requests.
fn requests(host: &str) -> Result<Vec<Vec<u8>>, String> {
    let folder = root().join("crates/protocol/tests/data/dcr");
    let failed = |failure: std::io::Error| format!("{}: {failure}", folder.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    if files.is_empty() {
        return Err(format!("{} has no bodies", folder.display()));
    }
    let whole = |path: &PathBuf| {
        let body = fs::read(path)?;
        let mut request = format!(
            "POST /register HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        Ok(request)
    };
    files
        .iter()
        .map(whole)
        .collect::<Result<_, _>>()
        .map_err(failed)
}

/// A connection that stays open.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(host: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(host).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        Ok(Self {
            stream: stream.map_err(|failure| format!("{host}: {failure}"))?,
            buffer: Vec::new(),
        })
    }

    fn register(&mut self, request: &[u8]) -> Outcome {
        match self.exchange(request)? {
            (201, _) => Ok(()),
            (status, body) => Err(format!("201 expected, not {status}: {body}")),
        }
    }

    /// One request and its answer: status and body.
    fn exchange(&mut self, request: &[u8]) -> Result<(u16, String), String> {
        let failed = |failure: std::io::Error| format!("no answer: {failure}");
        self.stream.write_all(request).map_err(failed)?;
        self.buffer.clear();
        let mut chunk = [0; 8_192];
        loop {
            if let Some(answer) = parse(&self.buffer)? {
                return Ok(answer);
            }
            if self.buffer.len() > ANSWER_BYTES_MAX {
                return Err("an answer without an end".to_owned());
            }
            match self.stream.read(&mut chunk).map_err(failed)? {
                0 => return Err("the hub closed the connection".to_owned()),
                read => self
                    .buffer
                    .extend_from_slice(chunk.get(..read).unwrap_or_default()),
            }
        }
    }
}

/// Status and body; none while bytes are missing.
fn parse(bytes: &[u8]) -> Result<Option<(u16, String)>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, rest) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length
            .then(|| value.trim().parse::<usize>().ok())
            .flatten()
    });
    let length = length.ok_or_else(|| format!("an answer without a length: {head}"))?;
    let Some(body) = rest.get(4..4 + length) else {
        return Ok(None);
    };
    let first = head.lines().next().unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| format!("no status: {head}"))?;
    Ok(Some((status, String::from_utf8_lossy(body).into_owned())))
}

/// Bytes of the data folder once they stay the same: the write-ahead log moves when nobody comes.
fn settled(folder: &Path) -> Result<u64, String> {
    let data = folder.join("data");
    let deadline = Instant::now() + SETTLES_WITHIN;
    let (mut size, mut since) = (bytes_of(&data)?, Instant::now());
    while since.elapsed() < QUIET {
        if Instant::now() > deadline {
            return Err("the data folder does not come to rest".to_owned());
        }
        thread::sleep(Duration::from_millis(100));
        let now = bytes_of(&data)?;
        if now != size {
            (size, since) = (now, Instant::now());
        }
    }
    Ok(size)
}

fn bytes_of(folder: &Path) -> Result<u64, String> {
    let failed = |failure: std::io::Error| format!("{}: {failure}", folder.display());
    let mut sum = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        sum += entry.metadata().map_err(failed)?.len();
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_not_yet() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Ok(None), "{end}");
        }
        assert_eq!(parse(whole), Ok(Some((201, "ok".to_owned()))));
        assert!(parse(b"HTTP/1.1 201 Created\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1\r\ncontent-length: 0\r\n\r\n").is_err());
    }

    #[test]
    fn every_catalogued_body_is_sent() {
        let all = requests("127.0.0.1:1").unwrap();
        assert!(all.len() >= 10);
        assert!(
            all.iter()
                .all(|request| request.starts_with(b"POST /register "))
        );
    }

    #[test]
    fn a_folder_that_grows_is_seen() {
        let folder = std::env::temp_dir().join(format!("flood-test-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let before = bytes_of(&folder).unwrap();
        fs::write(folder.join("row"), b"12345").unwrap();
        assert_eq!(bytes_of(&folder).unwrap(), before + 5);
        fs::remove_dir_all(&folder).unwrap();
    }
}
