//! Files that are no use, and the copy of the last clean close.

use std::fs;
use std::path::{Path, PathBuf};

use service_worker::host_tests::samples::{put, unread};
use service_worker::{OpenError, RedbStore, RegistryStore, open_database};

use super::sample;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("profile.redb")
    }

    fn named(&self, suffix: &str) -> PathBuf {
        self.0.path().join(format!("profile.redb.{suffix}"))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Opens a profile, puts a registration, closes it.
fn put_one(path: &Path, id: u64) {
    let (mut store, set_aside) = RedbStore::open(path).unwrap();
    assert_eq!(set_aside, None);
    store.commit(&[put(&sample(id))]).unwrap();
}

#[test]
fn a_file_that_is_no_database_is_kept_and_the_copy_is_used() {
    let folder = Folder::new();
    let path = folder.path();
    put_one(&path, 1);
    put_one(&path, 2);
    fs::write(&path, "not a database").unwrap();
    let (mut store, set_aside) = RedbStore::open(&path).unwrap();
    let set_aside = set_aside.unwrap();
    assert!(set_aside.from_copy);
    assert_eq!(fs::read(&set_aside.kept_as).unwrap(), b"not a database");
    let notice = set_aside.to_string();
    assert!(
        notice.contains("the copy of the last clean close is used"),
        "{notice}"
    );
    assert!(notice.contains("profile.redb.damaged-1"), "{notice}");
    let restored = store.restore().unwrap();
    assert_eq!(
        restored.registrations.decode().unwrap(),
        [1, 2].map(|id| unread(sample(id)))
    );
}

#[test]
fn without_a_usable_copy_the_profile_starts_empty_and_says_so() {
    let folder = Folder::new();
    let path = folder.path();
    for (round, copy) in [None, Some("no database either")].into_iter().enumerate() {
        fs::write(&path, "not a database").unwrap();
        if let Some(copy) = copy {
            fs::write(folder.named("last-clean"), copy).unwrap();
        }
        let (mut store, set_aside) = RedbStore::open(&path).unwrap();
        let set_aside = set_aside.unwrap();
        assert!(!set_aside.from_copy);
        assert!(set_aside.to_string().contains("an empty one is used"));
        let kept_as = folder.named(&format!("damaged-{}", round + 1));
        assert_eq!(set_aside.kept_as, kept_as);
        assert_eq!(fs::read(kept_as).unwrap(), b"not a database");
        assert!(store.restore().unwrap().registrations.is_empty());
        store.commit(&[put(&sample(1))]).unwrap();
    }
    assert_eq!(
        fs::read(folder.named("damaged-copy-1")).unwrap(),
        b"no database either"
    );
}

#[test]
fn an_empty_file_becomes_a_profile() {
    let folder = Folder::new();
    fs::write(folder.path(), "").unwrap();
    put_one(&folder.path(), 1);
    assert_eq!(folder.names(), ["profile.redb", "profile.redb.last-clean"]);
}

#[test]
fn a_folder_and_a_missing_folder_are_errors_and_stay_as_they_are() {
    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    let error = RedbStore::open(&folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    assert!(error.to_string().contains("profile.redb"), "{error}");
    assert_eq!(folder.names(), ["profile.redb"]);
    let missing = folder.path().join("a/b");
    let error = RedbStore::open(&missing).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[test]
#[cfg(unix)]
fn a_file_that_may_not_be_opened_is_an_error_and_stays() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    put_one(&folder.path(), 1);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o0)).unwrap();
    match RedbStore::open(&folder.path()) {
        Err(OpenError::Io { error, .. }) => {
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        }
        Err(other) => panic!("{other}"),
        // Whoever may open everything (root) is not stopped; then the file is used as it is.
        Ok((_, set_aside)) => assert_eq!(set_aside, None),
    }
    assert_eq!(folder.names(), ["profile.redb", "profile.redb.last-clean"]);
}

#[test]
fn a_file_in_use_is_named_and_not_set_aside() {
    let folder = Folder::new();
    let path = folder.path();
    let (mut store, _) = RedbStore::open(&path).unwrap();
    for opened in [
        RedbStore::open(&path).map(drop),
        open_database(&path).map(drop),
    ] {
        let error = opened.unwrap_err();
        assert!(matches!(error, OpenError::InUse(_)), "{error}");
        assert!(
            error.to_string().contains("profile.redb is in use"),
            "{error}"
        );
    }
    store.commit(&[put(&sample(1))]).unwrap();
    drop(store);
    assert_eq!(folder.names(), ["profile.redb", "profile.redb.last-clean"]);
    assert_eq!(
        RedbStore::open(&path)
            .unwrap()
            .0
            .restore()
            .unwrap()
            .registrations
            .len(),
        1
    );
}

#[test]
fn a_session_that_changes_nothing_leaves_the_copy_alone() {
    let folder = Folder::new();
    put_one(&folder.path(), 1);
    let before = fs::metadata(folder.named("last-clean")).unwrap();
    let (mut store, _) = RedbStore::open(&folder.path()).unwrap();
    store.restore().unwrap();
    store.scripts(sample(1).active.unwrap().id).unwrap();
    drop(store);
    let after = fs::metadata(folder.named("last-clean")).unwrap();
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
}

#[test]
fn a_file_that_was_not_closed_cleanly_does_not_replace_the_copy() {
    let folder = Folder::new();
    let path = folder.path();
    put_one(&path, 1);
    let clean = fs::read(folder.named("last-clean")).unwrap();
    let (mut store, _) = RedbStore::open(&path).unwrap();
    store.commit(&[put(&sample(2))]).unwrap();
    // As after a crash: the file as it is while it is open.
    let other = Folder::new();
    fs::copy(&path, other.path()).unwrap();
    fs::write(other.named("last-clean"), &clean).unwrap();
    service_worker::keep_copy(&other.path()).unwrap_err();
    assert_eq!(fs::read(other.named("last-clean")).unwrap(), clean);
    assert_eq!(other.names(), ["profile.redb", "profile.redb.last-clean"]);
    // It opens, is repaired, and has lost nothing.
    let mut after = RedbStore::open(&other.path()).unwrap().0;
    assert_eq!(after.restore().unwrap().registrations.len(), 2);
    service_worker::keep_copy(&folder.0.path().join("missing")).unwrap_err();
}

#[test]
fn a_partial_copy_of_a_crash_is_written_over() {
    let folder = Folder::new();
    fs::write(folder.named("last-clean.partial"), "half a co").unwrap();
    put_one(&folder.path(), 1);
    assert_eq!(folder.names(), ["profile.redb", "profile.redb.last-clean"]);
}

#[test]
fn a_new_file_that_a_crash_left_half_made_is_made_again() {
    let folder = Folder::new();
    for half in ["", "\0\0\0\0\0\0\0\0", "not a database"] {
        fs::write(folder.named("new"), half.repeat(600)).unwrap();
        let (store, set_aside) = RedbStore::open(&folder.path()).unwrap();
        assert_eq!(set_aside, None);
        drop(store);
        assert_eq!(folder.names(), ["profile.redb", "profile.redb.last-clean"]);
        fs::remove_file(folder.path()).unwrap();
    }
}
