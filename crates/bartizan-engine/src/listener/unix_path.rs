//! The file of a Unix socket: replaced only when nobody listens behind it, removed when we stop.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::bind::BindProblem;

/// A socket file that this process made. Dropping it removes the file, if it is still ours.
#[derive(Debug)]
pub(super) struct UnixPath {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl UnixPath {
    /// Removes a socket file that a dead process left; refuses a living one and any other file.
    pub fn clear_stale(path: &Path) -> Result<(), BindProblem> {
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        if !found.file_type().is_socket() {
            return Err(BindProblem::NotASocket);
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(BindProblem::Permission),
            _ => Err(BindProblem::InUse),
        }
    }

    /// Takes charge of the file just bound at `path`.
    pub fn owned(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device_and_inode: (found.dev(), found.ino()) })
    }

    /// Sets who may connect.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode & 0o777))
    }
}

impl Drop for UnixPath {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.device_and_inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
