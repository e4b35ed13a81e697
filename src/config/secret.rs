//! Passwords, in a type that can't be printed, and where they are read from.

use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::Fault;

/// No password is longer; a bigger file is none.
const SECRET_BYTES_MAX: u64 = 4096;

/// A password. `Debug` and `Display` show stars; [`Secret::reveal`] is for the drivers only.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The password in a file that only its owner can read.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn in_file(path: &Path) -> Result<Secret, String> {
        from_file(&path.display().to_string(), Path::new("."), &|_| None).map_err(|fault| format!("{}; {}", fault.cause, fault.advice))
    }

    /// The password in an environment variable.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn in_env(name: &str) -> Result<Secret, String> {
        from_env(name, &|name| std::env::var_os(name)).map_err(|fault| format!("{}; {}", fault.cause, fault.advice))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How the environment is looked up; tests bring their own.
pub(super) type Env<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// The password in the environment variable `name`.
pub(super) fn from_env(name: &str, env: Env<'_>) -> Result<Secret, Fault> {
    let advice = format!("set {name} for the daemon, or use password_file");
    let Some(value) = env(name) else {
        return Err(Fault::new(format!("the environment has no variable {name}"), advice));
    };
    match value.into_string() {
        Ok(text) if text.is_empty() => Err(Fault::new(format!("the environment variable {name} is empty"), advice)),
        Ok(text) => Ok(Secret(text)),
        Err(_) => Err(Fault::new(format!("the environment variable {name} is not UTF-8"), advice)),
    }
}

/// The password in the file `name`: a systemd credential of that name, or else a file of its own, seen from `folder`.
pub(super) fn from_file(name: &str, folder: &Path, env: Env<'_>) -> Result<Secret, Fault> {
    if let Some(path) = credential(name, env) {
        return read(&path);
    }
    let path = folder.join(name);
    refuse_readable_by_others(&path)?;
    read(&path)
}

/// The file of the systemd credential `name`, where there is one. systemd itself sees to who may read it.
fn credential(name: &str, env: Env<'_>) -> Option<PathBuf> {
    let folder = PathBuf::from(env("CREDENTIALS_DIRECTORY")?);
    let path = folder.join(name);
    // A path with folders in it, or out of the credentials, is an ordinary file.
    (path.parent() == Some(folder.as_path()) && path.is_file()).then_some(path)
}

/// An error when `path` can't be looked at or its group or others may read or change it.
pub(super) fn refuse_readable_by_others(path: &Path) -> Result<(), Fault> {
    let meta = std::fs::metadata(path).map_err(|cause| unreadable(path, &cause))?;
    let mode = meta.mode() & 0o777;
    if meta.is_file() && mode & 0o077 != 0 {
        let cause = format!("{} is open to others than its owner (mode {mode:03o})", path.display());
        return Err(Fault::new(cause, format!("run: chmod 600 {}", path.display())));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Secret, Fault> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|cause| unreadable(path, &cause))?;
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|cause| unreadable(path, &cause))?;
    let advice = "it must hold the password alone, in one line";
    let fault = |what: &str| Fault::new(format!("{} {what}", path.display()), advice);
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(fault("is too long for a password"));
    }
    let text = String::from_utf8(bytes).map_err(|_| fault("is not UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    match text {
        "" => Err(fault("is empty")),
        text if text.contains(['\n', '\0']) => Err(fault("has more than one line")),
        text => Ok(Secret(text.into())),
    }
}

fn unreadable(path: &Path, cause: &std::io::Error) -> Fault {
    let advice = "create it with mode 600, owned by the account that rosterd runs as";
    Fault::new(format!("{} can't be read ({cause})", path.display()), advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(folder: &Path, name: &str, text: &str, mode: u32) {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn nothing(_: &str) -> Option<OsString> {
        None
    }

    #[test]
    fn a_password_never_prints() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(format!("{secret:?} {secret}"), "*** ***");
    }

    #[test]
    fn files_are_read_without_the_last_newline_and_only_when_private() {
        let dir = tempfile::tempdir().unwrap();
        file(dir.path(), "good", " hunter2 \r\n", 0o600);
        file(dir.path(), "open", "hunter2\n", 0o640);
        file(dir.path(), "empty", "\n", 0o400);
        file(dir.path(), "long", "hunter2\nhunter3\n", 0o400);
        assert_eq!(from_file("good", dir.path(), &nothing).unwrap().reveal(), " hunter2 ");
        let open = from_file("open", dir.path(), &nothing).unwrap_err();
        assert!(open.cause.contains("mode 640") && open.advice.contains("chmod 600"), "{open:?}");
        assert!(from_file("empty", dir.path(), &nothing).unwrap_err().cause.contains("is empty"));
        let long = from_file("long", dir.path(), &nothing).unwrap_err();
        assert!(long.cause.contains("more than one line") && !format!("{long:?}").contains("hunter"), "{long:?}");
        assert!(from_file("none", dir.path(), &nothing).unwrap_err().advice.contains("create it"));
    }

    #[test]
    fn a_systemd_credential_comes_first_whatever_its_mode() {
        let (own, given) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        file(own.path(), "hub.password", "own", 0o600);
        file(given.path(), "hub.password", "given", 0o444);
        let env = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| given.path().into());
        assert_eq!(from_file("hub.password", own.path(), &env).unwrap().reveal(), "given");
        assert_eq!(from_file("./hub.password", own.path(), &nothing).unwrap().reveal(), "own");
        assert_eq!(from_file(own.path().join("hub.password").to_str().unwrap(), own.path(), &env).unwrap().reveal(), "own");
    }

    #[test]
    fn variables_must_be_set() {
        let env = |name: &str| (name == "PW").then(|| OsString::from("hunter2"));
        assert_eq!(from_env("PW", &env).unwrap().reveal(), "hunter2");
        assert!(from_env("PV", &env).unwrap_err().cause.contains("no variable PV"));
    }
}
