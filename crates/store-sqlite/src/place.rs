//! Where the file may be. SQLite's log needs shared memory and locks that hold, which file systems
//! over a network do not give (`design-details.md`, D.16): the file would break without a sound.

use std::path::{Path, PathBuf};

use vestibule_store::{Result, StoreError};

/// As the kernel calls them.
const NETWORK: [&str; 14] = [
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "glusterfs",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];

/// Refuse a file on a network file system. Where the system does not tell, nothing is refused.
pub(crate) fn check(path: &Path) -> Result<()> {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else {
        return Ok(());
    };
    let Ok(path) = path.canonicalize() else {
        return Ok(());
    };
    match network(&mounts, &path) {
        None => Ok(()),
        Some(kind) => Err(StoreError::Failed(format!(
            "{} is on a network file system ({kind}): put the database on a local disk",
            path.display()
        ))),
    }
}

/// The network file system that holds `path`, by the lines of `mountinfo` (proc(5)).
fn network(mounts: &str, path: &Path) -> Option<String> {
    let mut holder: Option<(PathBuf, &str)> = None;
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(point), Some(kind)) = (before.split(' ').nth(4), after.split(' ').next()) else {
            continue;
        };
        let point = PathBuf::from(point.replace("\\040", " "));
        // Of several the longest, and of equals the last: it lies on top.
        let covers = path.starts_with(&point)
            && holder
                .as_ref()
                .is_none_or(|(longest, _)| point.starts_with(longest));
        if covers {
            holder = Some((point, kind));
        }
    }
    holder
        .filter(|(_, kind)| NETWORK.contains(kind))
        .map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_found_by_the_mount_on_top() {
        let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      30 22 0:40 / /srv/share rw shared:1 - nfs4 host:/share rw\n\
                      31 30 8:2 / /srv/share/local rw - ext4 /dev/sdb rw\n\
                      32 22 0:41 / /srv/my\\040share rw - cifs //host/share rw\n\
                      a line that is none\n";
        #[rustfmt::skip]
        let cases = [
            ("/var/lib/vestibule.db",      None),
            ("/srv/share/vestibule.db",    Some("nfs4")),
            ("/srv/share/local/v.db",      None),
            ("/srv/shared/vestibule.db",   None),
            ("/srv/my share/vestibule.db", Some("cifs")),
        ];
        for (path, kind) in cases {
            assert_eq!(network(mounts, Path::new(path)).as_deref(), kind, "{path}");
        }
    }

    #[test]
    fn this_folder_is_accepted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        check(file.path()).unwrap();
    }
}
