//! Passwords: Argon2id with the parameters of the OWASP cheat sheet (19 MiB, two passes), two at a
//! time, so that sign-ins never starve tokens. They are computed on two threads of their own: on
//! any of a runtime's threads each would leave its 19 MiB with the allocator's part of that thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, mpsc},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::{Semaphore, oneshot};
use vestibule_protocol::secret::Secret;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Hashes at the same time; each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Sign-ins that compute or wait; more are sent away, so that the wait stays near a second.
const IN_LINE: usize = 64;

/// Longest password that is hashed.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1024;
/// Shortest password of a new account.
pub(crate) const PASSWORD_CHARS_MIN: usize = 10;

/// A password could not be hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the password could not be hashed")]
pub(crate) struct HashFailed;

/// Hashes with a bound on how many at once.
#[derive(Debug)]
pub(crate) struct PasswordPool {
    /// To the threads, which start with the first password.
    threads: OnceLock<mpsc::Sender<Work>>,
    line: Semaphore,
}

type Work = Box<dyn FnOnce() + Send>;

/// Too many sign-ins wait already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LineIsFull;

fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// What is verified when there is no such account, so that it takes as long (T20).
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash_now("nobody's password", [0x5a; 16]).unwrap_or_default());

fn hash_now(password: &str, salt: [u8; 16]) -> Option<String> {
    let hash = argon2()?
        .hash_password_with_salt(password.as_bytes(), &salt)
        .ok()?;
    Some(hash.to_string())
}

fn verify_now(password: &str, hash: &str) -> bool {
    let (Some(argon2), Ok(hash)) = (argon2(), PasswordHash::new(hash)) else {
        return false;
    };
    argon2.verify_password(password.as_bytes(), &hash).is_ok()
}

impl PasswordPool {
    pub(crate) fn new() -> Self {
        Self {
            threads: OnceLock::new(),
            line: Semaphore::new(IN_LINE),
        }
    }

    /// Compute on one of the threads; `None` if that failed.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move || {
            // Nobody waits any more: nothing to tell.
            let _ = answer.send(work());
        });
        self.threads.get_or_init(start).send(work).ok()?;
        answered.await.ok()
    }

    /// Hash a new password; the salt is 128 random bits.
    pub(crate) async fn hash(
        &self,
        password: Secret<String>,
        salt: [u8; 16],
    ) -> Result<String, HashFailed> {
        let hashed = self.compute(move || hash_now(password.expose(), salt));
        hashed.await.flatten().ok_or(HashFailed)
    }

    /// Compare; without a hash it takes as long and is false.
    pub(crate) async fn verify(
        &self,
        password: Secret<String>,
        hash: Option<String>,
    ) -> Result<bool, LineIsFull> {
        let _place = self.line.try_acquire().map_err(|_| LineIsFull)?;
        let verified = self.compute(move || {
            let right = verify_now(password.expose(), hash.as_deref().unwrap_or(&NOBODY));
            right && hash.is_some()
        });
        Ok(verified.await.unwrap_or(false))
    }
}

/// The threads, which end with the pool. One that cannot be started leaves the work to the others;
/// with none of them each password is wrong.
fn start() -> mpsc::Sender<Work> {
    let (sender, receiver) = mpsc::channel::<Work>();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..AT_ONCE {
        let receiver = Arc::clone(&receiver);
        let started = std::thread::Builder::new()
            .name("password".to_owned())
            .spawn(move || {
                let next = || {
                    receiver
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .recv()
                };
                while let Ok(work) = next() {
                    if catch_unwind(AssertUnwindSafe(work)).is_err() {
                        tracing::error!("a password could not be computed");
                    }
                }
            });
        if let Err(failure) = started {
            tracing::error!(%failure, "a thread for passwords could not be started");
        }
    }
    sender
}

/// What a new password must be.
pub(crate) fn judge_password(name: &str, password: &str) -> Result<(), &'static str> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err("the password must have at least 10 characters");
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err("the password must not be longer than 1024 bytes");
    }
    // A name of one or two letters is in half of all passwords.
    let (name, lower) = (name.to_lowercase(), password.to_lowercase());
    if lower == name || (name.chars().count() > 2 && lower.contains(&name)) {
        return Err("the password must not contain the user name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    /// T20: a wrong name costs what a wrong password costs, and neither opens anything.
    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let pool = PasswordPool::new();
        let hash = pool.hash(secret("correct horse"), [1; 16]).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let rows = [
            ("correct horse", Some(hash.clone()), true),
            ("wrong horse", Some(hash), false),
            ("nobody's password", None, false),
            ("x", Some("not a hash".to_owned()), false),
        ];
        for (password, hash, right) in rows {
            assert_eq!(pool.verify(secret(password), hash).await, Ok(right));
        }
    }

    /// P16, GEN-13: who comes when the line is full is sent away at once, and nobody waits long.
    #[tokio::test]
    async fn the_line_for_hashes_is_bounded() {
        let pool = PasswordPool::new();
        let everyone = pool.line.acquire_many(64).await.unwrap();
        assert_eq!(pool.verify(secret("x"), None).await, Err(LineIsFull));
        drop(everyone);
        assert_eq!(pool.verify(secret("x"), None).await, Ok(false));
    }

    #[test]
    fn password_rules() {
        #[rustfmt::skip]
        let rows = [
            ("ada", "short",                false),
            ("ada", "Ada-is-my-name",       false),
            ("ada", "correct horse",        true),
            ("al",  "capital letters",      true),
            ("correct-horse", "Correct-Horse", false),
        ];
        for (name, password, good) in rows {
            assert_eq!(judge_password(name, password).is_ok(), good, "{password}");
        }
        assert!(judge_password("ada", &"x".repeat(1025)).is_err());
    }
}
