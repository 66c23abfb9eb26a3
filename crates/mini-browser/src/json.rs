//! The file of `--json`: written whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use mini_browser::scenario::Outcome;

/// A JSON file that will be written at the end of the run. Until then, and if the run fails, what
/// was there before stays as it was.
#[derive(Debug)]
pub(crate) struct JsonFile {
    path: PathBuf,
    partial: PathBuf,
    file: Option<File>,
}

/// Why there is no JSON.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}; name a file in a folder that can be written", path.display())]
pub(crate) struct JsonError {
    path: PathBuf,
    error: io::Error,
}

impl JsonFile {
    /// Makes sure, before the run, that the file can be written.
    pub(crate) fn create(path: &Path) -> Result<Self, JsonError> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let failed = |error| JsonError {
            path: path.to_owned(),
            error,
        };
        if path.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let file = File::create(&partial).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            partial,
            file: Some(file),
        })
    }

    /// Writes it.
    pub(crate) fn write(mut self, outcome: &Outcome) -> Result<(), JsonError> {
        let written = self.file.take().map_or(Ok(()), |file| {
            let mut file = BufWriter::new(file);
            serde_json::to_writer_pretty(&mut file, outcome)?;
            file.write_all(b"\n")?;
            file.flush()?;
            fs::rename(&self.partial, &self.path)
        });
        written.map_err(|error| JsonError {
            path: self.path.clone(),
            error,
        })
    }
}

impl Drop for JsonFile {
    fn drop(&mut self) {
        // It was renamed, or it is of no use; if it cannot be removed, it is in nobody's way.
        _ = fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_stays_if_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        fs::write(&path, "before").unwrap();
        drop(JsonFile::create(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no").join("out.json");
        for path in [folder.path(), &missing] {
            let error = JsonFile::create(path).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("cannot write {}", path.display())),
                "{error}"
            );
        }
    }
}
