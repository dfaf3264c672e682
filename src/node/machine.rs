//! How much memory this process may have.

use std::path::{Path, PathBuf};

/// Returns the least of the machine's memory and of the limits of its control groups; none if
/// neither is known.
pub(super) fn allowed_memory() -> Option<u64> {
    allowed_below(Path::new("/"))
}

fn allowed_below(root: &Path) -> Option<u64> {
    group_limits(root).into_iter().chain(total(root)).min()
}

/// `MemTotal` of the machine.
fn total(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Returns the limits of the process's groups and of those around them, of either version. A
/// container may see its own group as the root.
fn group_limits(root: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut limits = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let groups = Path::new(group.trim_start_matches('/')).ancestors().map(PathBuf::from);
        limits.extend(groups.filter_map(|group| limit(&root.join(mount).join(group).join(file))));
    }
    limits
}

/// Returns the number in a file; `max` is none.
fn limit(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, write};

    use super::*;

    /// A file system with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            create_dir_all(path.parent().unwrap()).unwrap();
            write(path, text).unwrap();
        }
        root
    }

    fn allowed(files: &[(&str, &str)]) -> Option<u64> {
        allowed_below(root(files).path())
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:   4096 kB\nMemFree:  1 kB\n");

    #[test]
    fn a_machine_has_what_it_says() {
        assert_eq!(allowed(&[]), None);
        assert_eq!(allowed(&[MACHINE]), Some(4 << 20));
        assert!(allowed_memory().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn the_nearest_limit_of_a_group_counts() {
        let v2 = ("proc/self/cgroup", "0::/a/b\n");
        let [outer, inner] = ["sys/fs/cgroup/a/memory.max", "sys/fs/cgroup/a/b/memory.max"];
        assert_eq!(allowed(&[MACHINE, v2, (outer, "3000\n"), (inner, "max\n")]), Some(3000));
        assert_eq!(allowed(&[MACHINE, v2, (outer, "3000\n"), (inner, "2000\n")]), Some(2000));
        assert_eq!(allowed(&[MACHINE, v2, (outer, "9000000000\n")]), Some(4 << 20));
        let own = [MACHINE, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "5\n")];
        assert_eq!(allowed(&own), Some(5));
    }

    #[test]
    fn groups_of_the_first_version_count_too() {
        let v1 = ("proc/self/cgroup", "5:cpu,memory:/x\n4:pids:/x\n0::/\n");
        let file = "sys/fs/cgroup/memory/x/memory.limit_in_bytes";
        assert_eq!(allowed(&[MACHINE, v1, (file, "1000\n")]), Some(1000));
        assert_eq!(allowed(&[MACHINE, v1, (file, "9223372036854771712\n")]), Some(4 << 20));
    }
}
