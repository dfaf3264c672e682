//! The directory of a store, which only its owner may enter.

use std::fs::{DirBuilder, metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// The rights of its owner.
const OWNERS_ALONE: u32 = 0o700;

/// The rights of group and others.
const OTHERS: u32 = 0o077;

/// Makes the directory if it is not there, and warns of one that others may enter.
pub(super) fn prepare(path: &Path) -> io::Result<()> {
    let Ok(found) = metadata(path) else {
        return DirBuilder::new().recursive(true).mode(OWNERS_ALONE).create(path);
    };
    let mode = found.permissions().mode() & 0o777;
    if found.is_dir() && mode & OTHERS != 0 {
        let path = path.display();
        tracing::warn!(
            "store.path: group or others may enter {path} (mode {mode:04o}), set it to 0700"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_the_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/data");
        prepare(&path).unwrap();
        for made in [home.path().join("new"), path] {
            let mode = metadata(&made).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, OWNERS_ALONE, "{}", made.display());
        }
    }
}
