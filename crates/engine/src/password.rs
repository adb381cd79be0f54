//! Passwords: Argon2id with the parameters of the OWASP cheat sheet (19 MiB, two passes), two at a
//! time, so that sign-ins never starve tokens.

use std::sync::LazyLock;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::{sync::Semaphore, task::spawn_blocking};
use vestibule_protocol::secret::Secret;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Hashes at the same time; each takes 19 MiB and a core.
const AT_ONCE: usize = 2;

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
pub(crate) struct PasswordPool(Semaphore);

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
        Self(Semaphore::new(AT_ONCE))
    }

    /// Hash a new password; the salt is 128 random bits.
    pub(crate) async fn hash(
        &self,
        password: Secret<String>,
        salt: [u8; 16],
    ) -> Result<String, HashFailed> {
        let _slot = self.0.acquire().await.map_err(|_| HashFailed)?;
        let hashed = spawn_blocking(move || hash_now(password.expose(), salt)).await;
        hashed.ok().flatten().ok_or(HashFailed)
    }

    /// Compare; without a hash it takes as long and is false.
    pub(crate) async fn verify(&self, password: Secret<String>, hash: Option<String>) -> bool {
        let Ok(_slot) = self.0.acquire().await else {
            return false;
        };
        let verified = spawn_blocking(move || match hash {
            Some(hash) => verify_now(password.expose(), &hash),
            None => {
                verify_now(password.expose(), &NOBODY);
                false
            }
        });
        verified.await.unwrap_or(false)
    }
}

/// What a new password must be.
pub(crate) fn judge_password(name: &str, password: &str) -> Result<(), &'static str> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err("the password must have at least 10 characters");
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err("the password must not be longer than 1024 bytes");
    }
    if password.to_lowercase().contains(&name.to_lowercase()) {
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
        assert!(
            pool.verify(secret("correct horse"), Some(hash.clone()))
                .await
        );
        assert!(!pool.verify(secret("wrong horse"), Some(hash)).await);
        assert!(!pool.verify(secret("nobody's password"), None).await);
        assert!(
            !pool
                .verify(secret("x"), Some("not a hash".to_owned()))
                .await
        );
    }

    #[test]
    fn password_rules() {
        assert!(judge_password("ada", "short").is_err());
        assert!(judge_password("ada", "Ada-is-my-name").is_err());
        assert!(judge_password("ada", &"x".repeat(1025)).is_err());
        assert!(judge_password("ada", "correct horse").is_ok());
    }
}
