//! Files that are written in whole or not at all, and what they may stand in the place of.
//!
//! Only a regular file of the same sort is ever replaced: not a device, a pipe, a directory, a file of something else, or
//! one that is read-only. A link is followed, and the file behind it replaced.

use crate::{Trouble, say};
use engine::state::StateFile;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What an output is, and how one is known.
pub struct Sort<'a> {
    /// In words.
    pub name: &'a str,
    /// Bytes that must be seen of a file.
    pub bytes_max: usize,
    /// Whether they are those of one.
    pub is: &'a dyn Fn(&[u8]) -> bool,
}

/// State files.
pub const STATE: Sort<'static> = Sort { name: "state file", bytes_max: 64, is: &StateFile::begins };

/// Whether something is there that would be replaced; an error when it must not be, or when the place cannot be written.
/// What is seen now spares the work, and is looked at again when it is done.
pub fn may_replace(path: &Path, sort: &Sort<'_>) -> Result<bool, Trouble> {
    let place = Place::of(path)?;
    place.probe().map_err(|error| place.failed(error))?;
    place.holds(sort)
}

/// Whether a file can be written there at all, whatever sort it would replace.
pub fn may_write(path: &Path) -> Result<(), Trouble> {
    let place = Place::of(path)?;
    place.probe().map_err(|error| place.failed(error))
}

/// Writes a file in whole or not at all: beside its place first, then over to it. A file that was there and is of the same
/// sort is replaced, and its permissions stay; another one is left alone.
pub fn write(path: &Path, bytes: &[u8], sort: &Sort<'_>) -> Result<(), Trouble> {
    let place = Place::of(path)?;
    if place.holds(sort)? {
        say(format_args!("note: `{}` was there and is replaced", path.display()));
    }
    place.put(bytes).map_err(|error| place.failed(error))
}

/// Where an output goes.
struct Place<'a> {
    /// As it was named.
    named: &'a Path,
    /// Behind all links.
    path: PathBuf,
    /// Those of the file that is there.
    permissions: Option<Permissions>,
}

impl Place<'_> {
    /// Looks at a place without opening what is there: opening a pipe waits for a reader, and some devices act.
    fn of(named: &Path) -> Result<Place<'_>, Trouble> {
        let refused = |why: &str| Trouble::environment(format!("cannot write `{}`: {why}", named.display()));
        if is_standard(named) {
            return Err(refused("what is saved is a file, not a stream; name one, as in week.sgs"));
        }
        match fs::metadata(named) {
            Ok(there) => {
                replaceable(&there).map_err(refused)?;
                let path = fs::canonicalize(named).map_err(|error| refused(&error.to_string()))?;
                Ok(Place { named, path, permissions: Some(there.permissions()) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(named) {
                Ok(to) => Err(refused(&format!(
                    "it is a link to `{}`, which is not there; make that file (empty), or remove the link",
                    to.display()
                ))),
                Err(_) => Ok(Place { named, path: named.to_path_buf(), permissions: None }),
            },
            Err(error) => Err(refused(&error.to_string())),
        }
    }

    /// Whether a file of this sort is there; an error when one of another sort is.
    fn holds(&self, sort: &Sort<'_>) -> Result<bool, Trouble> {
        if self.permissions.is_none() {
            return Ok(false);
        }
        let mut bytes = Vec::new();
        File::open(&self.path)
            .and_then(|file| file.take(sort.bytes_max as u64).read_to_end(&mut bytes))
            .map_err(|error| self.failed(error))?;
        if bytes.is_empty() || (sort.is)(&bytes) {
            return Ok(true);
        }
        Err(Trouble::environment(format!(
            "`{}` is there and is no {}: it is not replaced. Name another file, or remove it",
            self.named.display(),
            sort.name
        )))
    }

    /// Finds out whether the place can be written, and leaves nothing behind.
    fn probe(&self) -> io::Result<()> {
        if self.permissions.is_some() {
            // Moving over it would need no right to it; what may not be written is not replaced either.
            OpenOptions::new().write(true).open(&self.path)?;
        }
        let beside = self.beside()?;
        self.create(&beside)?;
        fs::remove_file(&beside)
    }

    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let beside = self.beside()?;
        let put = || {
            let mut file = self.create(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)
        };
        put().inspect_err(|_| {
            // What is left of it is of no use; that it cannot be removed either changes nothing.
            let _ = fs::remove_file(&beside);
        })
    }

    /// A new file, as open to others as the one that it will replace, from its first byte on.
    fn create(&self, beside: &Path) -> io::Result<File> {
        match fs::remove_file(beside) {
            // Of a process of the same number that was stopped.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = File::create_new(beside)?;
        if let Some(permissions) = &self.permissions {
            file.set_permissions(permissions.clone())?;
        }
        Ok(file)
    }

    fn beside(&self) -> io::Result<PathBuf> {
        let name = self.path.file_name().ok_or_else(|| io::Error::other("it is no name of a file"))?;
        let mut beside = name.to_os_string();
        beside.push(format!(".{}.part", std::process::id()));
        Ok(self.path.with_file_name(beside))
    }

    fn failed(&self, error: io::Error) -> Trouble {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let advice = match (error.kind(), directory) {
            (io::ErrorKind::NotFound, Some(directory)) if !directory.exists() => {
                format!("; make the directory first: mkdir -p {}", directory.display())
            }
            _ => String::new(),
        };
        Trouble::environment(format!("cannot write `{}`: {error}{advice}", self.named.display()))
    }
}

/// Names of what the program was given open. Behind them may be a file, which others hold open too.
fn is_standard(path: &Path) -> bool {
    let streams = ["-", "/dev/stdin", "/dev/stdout", "/dev/stderr"];
    let opened = ["/dev/fd", "/proc/self/fd"];
    streams.iter().any(|name| path == Path::new(name)) || opened.iter().any(|name| path.starts_with(name))
}

/// Whether what is there is something that a file may replace, or why not.
fn replaceable(there: &Metadata) -> Result<(), &'static str> {
    if there.is_dir() {
        return Err("it is a directory; name a file in it");
    }
    if !there.is_file() {
        return Err("it is a pipe, a device or a socket, which a file must not replace; name a file");
    }
    if there.permissions().readonly() {
        return Err("it is read-only; name another file, or make it writable");
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    /// A directory of this test's own. The name is short: that of a socket may not be long.
    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("sg-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for the test");
        path
    }

    #[test]
    fn only_regular_files_that_may_be_written_are_replaceable() {
        let dir = directory("kinds");
        let refused = |path: &Path| {
            let why = Place::of(path).err().map(|trouble| trouble.text).unwrap_or_default();
            assert!(why.contains(&path.display().to_string()) || why.is_empty(), "{why}");
            why
        };
        let named = |name: &str| dir.join(name);
        let _socket = UnixListener::bind(named("socket")).expect("a socket");
        fs::write(named("file"), "").expect("a file");
        fs::write(named("kept"), "").expect("a file");
        fs::set_permissions(named("kept"), Permissions::from_mode(0o444)).expect("it is ours");
        symlink("socket", named("to socket")).expect("a link");
        symlink("file", named("to file")).expect("a link");
        symlink("nothing", named("to nothing")).expect("a link");
        symlink("round", named("round")).expect("a link");
        for (name, why) in [
            ("socket", "a socket, which a file must not replace"),
            ("to socket", "a socket, which a file must not replace"),
            (".", "it is a directory"),
            ("kept", "it is read-only"),
            ("to nothing", "it is a link to `nothing`, which is not there"),
            ("round", "cannot write"),
        ] {
            let told = refused(&named(name));
            assert!(told.contains(why), "{name}: {told}");
        }
        for name in ["file", "to file", "new"] {
            assert_eq!(refused(&named(name)), "", "{name}");
        }
        let real = fs::canonicalize(named("file")).expect("it is there");
        assert_eq!(Place::of(&named("to file")).expect("a file").path, real);
        fs::remove_dir_all(dir).expect("it is ours");
    }

    #[test]
    fn streams_are_known_by_their_names() {
        for (path, is) in [
            ("-", true),
            ("/dev/stdout", true),
            ("/dev/fd/63", true),
            ("/proc/self/fd/1", true),
            ("./-", false),
            ("/dev/shm/week.sgs", false),
            ("stdout", false),
        ] {
            assert_eq!(is_standard(Path::new(path)), is, "{path}");
        }
    }
}
