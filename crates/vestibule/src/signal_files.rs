//! Signals from files: lists of addresses, countries, networks. Read at start, and again when one of
//! them changed, without a restart.
//!
//! All of them are taken over together or not at all: while one cannot be used, what was read
//! before stays in force, and the log says which line of which file is wrong.
//!
//! Not here: what is on a list or in a record (`policy::signals`), what follows from it (policies).

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use vestibule_engine::{Engine, SignalFiles};
use vestibule_policy::signals::{
    address_list::{AddressList, NamedLists},
    geo::Geo,
};

use crate::config::Signals;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignalPaths {
    listed: Vec<PathBuf>,
    reputation: Vec<PathBuf>,
    country: Option<PathBuf>,
    asn: Option<PathBuf>,
}

/// Size and time of each file; none for one that is not there.
type Stamps = Vec<Option<(u64, SystemTime)>>;

impl SignalPaths {
    /// As configured; relative paths are relative to the configuration.
    pub(crate) fn of(written: &Signals, base: &Path) -> Self {
        let all = |paths: &[PathBuf]| paths.iter().map(|path| base.join(path)).collect();
        Self {
            listed: all(&written.listed_files),
            reputation: all(&written.reputation_files),
            country: written.country_file.as_ref().map(|path| base.join(path)),
            asn: written.asn_file.as_ref().map(|path| base.join(path)),
        }
    }

    /// Read all of them, or say everything that is wrong with them.
    pub(crate) fn read(&self) -> Result<SignalFiles, Vec<String>> {
        let mut problems = Vec::new();
        let files = SignalFiles {
            listed: lists("signals.listed_files", &self.listed, &mut problems),
            reputation: (!self.reputation.is_empty())
                .then(|| lists("signals.reputation_files", &self.reputation, &mut problems)),
            country: geo(
                "signals.country_file",
                self.country.as_deref(),
                &mut problems,
            ),
            asn: geo("signals.asn_file", self.asn.as_deref(), &mut problems),
        };
        if problems.is_empty() {
            Ok(files)
        } else {
            Err(problems)
        }
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let lists = self.listed.iter().chain(&self.reputation);
        lists.chain(&self.country).chain(&self.asn)
    }

    fn stamps(&self) -> Stamps {
        let stamp = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        self.all().map(stamp).collect()
    }
}

fn lists(key: &str, paths: &[PathBuf], problems: &mut Vec<String>) -> NamedLists {
    let mut lists = Vec::with_capacity(paths.len());
    for path in paths {
        let shown = path.display();
        let list = match fs::read_to_string(path) {
            Ok(text) => AddressList::parse(&text).map_err(|fault| format!("{shown}: {fault}")),
            Err(failure) => Err(format!("{shown} cannot be read: {failure}")),
        };
        match list {
            Ok(list) => {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                lists.push((name.into_owned(), list));
            }
            Err(problem) => problems.push(format!("{key}: {problem}")),
        }
    }
    NamedLists::new(lists)
}

fn geo(key: &str, path: Option<&Path>, problems: &mut Vec<String>) -> Option<Geo> {
    let path = path?;
    let shown = path.display();
    let read = match fs::read(path) {
        Ok(bytes) => Geo::read(bytes).map_err(|fault| format!("{shown}: {fault}")),
        Err(failure) => Err(format!("{shown} cannot be read: {failure}")),
    };
    read.map_err(|problem| problems.push(format!("{key}: {problem}")))
        .ok()
}

/// Looks whether the files changed.
pub(crate) struct Watch {
    paths: SignalPaths,
    looked_at: Stamps,
}

impl Watch {
    /// Of files as they are now.
    pub(crate) fn new(paths: SignalPaths) -> Self {
        let looked_at = paths.stamps();
        Self { paths, looked_at }
    }

    /// What they say now, if any changed since the last look. One that changes while it is read is
    /// read again at the next look.
    fn look(&mut self) -> Option<Result<SignalFiles, Vec<String>>> {
        let before = self.paths.stamps();
        if before == self.looked_at {
            return None;
        }
        let read = self.paths.read();
        if self.paths.stamps() != before {
            return None;
        }
        self.looked_at = before;
        Some(read)
    }

    /// Keep an engine's signals as the files are, until the task is aborted.
    pub(crate) async fn follow(mut self, engine: Arc<Engine>) {
        if self.paths.all().next().is_none() {
            return;
        }
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let looked = tokio::task::spawn_blocking(move || {
                let found = self.look();
                (self, found)
            });
            let Ok((watch, found)) = looked.await else {
                tracing::error!("the files of signals are not looked at any more");
                return;
            };
            self = watch;
            match found {
                None => {}
                Some(Ok(files)) => {
                    engine.replace_signal_files(files);
                    tracing::info!("the files of signals were read again");
                }
                Some(Err(problems)) => {
                    for problem in problems {
                        tracing::error!(
                            "{problem}; what was read before the change stays in force"
                        );
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(files: &SignalFiles, ip: &str) -> bool {
        files.listed.contains(ip.parse().unwrap())
    }

    #[test]
    fn a_changed_list_is_read_once_and_a_broken_one_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("listed.txt");
        fs::write(&path, "192.0.2.0/24\n").unwrap();
        let paths = SignalPaths {
            listed: vec![path.clone()],
            ..SignalPaths::default()
        };
        assert!(listed(&paths.read().unwrap(), "192.0.2.7"));
        let mut watch = Watch::new(paths);
        assert!(watch.look().is_none());

        fs::write(&path, "192.0.2.0/24\n198.51.100.0/24\n").unwrap();
        let files = watch.look().unwrap().unwrap();
        assert!(listed(&files, "198.51.100.7"));
        assert!(watch.look().is_none());

        fs::write(&path, "192.0.2.0/24\nnowhere\n").unwrap();
        let problems = watch.look().unwrap().unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].contains("listed.txt: line 2: `nowhere`"),
            "{problems:?}"
        );
        assert!(watch.look().is_none());

        fs::remove_file(&path).unwrap();
        let problems = watch.look().unwrap().unwrap_err();
        assert!(problems[0].contains("cannot be read"), "{problems:?}");
    }
}
