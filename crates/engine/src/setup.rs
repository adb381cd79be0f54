//! The first account by a one-time link, and accounts by command line (threats P12: nothing works
//! by default, and nothing is open).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use vestibule_protocol::{
    audit::{Actor, Event},
    ids::UserId,
    secret::Secret,
};
use vestibule_seal::sha256;
use vestibule_store::{StoreError, users::User};

use crate::{
    Browser, CookieChange, Cookies, Engine, FailureStatus, Reply, SetupPage, Step,
    password::judge_password,
};

/// Life of the set-up link.
const LINK_LIFE: Duration = Duration::from_hours(24);
const NAME_CHARS_MAX: usize = 64;

/// The set-up form.
#[derive(Clone, Debug)]
pub struct SetupForm {
    /// From the link.
    pub token: String,
    /// Chosen.
    pub username: String,
    /// Chosen.
    pub password: Secret<String>,
    /// Belongs to the browser.
    pub csrf: String,
}

/// An account to make.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// What they type to sign in.
    pub name: String,
    /// Their password.
    pub password: Secret<String>,
    /// May administer.
    pub admin: bool,
    /// Mail address.
    pub email: Option<String>,
    /// For people.
    pub display_name: Option<String>,
}

/// An account could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AddUserError {
    /// The machine could not hash.
    #[error("the password could not be hashed")]
    Hash,
    /// Not a name.
    #[error("a user name is 1 to 64 characters without spaces and control characters")]
    Name,
    /// Nobody by that name.
    #[error("there is no such account")]
    NoSuchUser,
    /// Not a password.
    #[error("{0}")]
    Password(&'static str),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// Somebody has it.
    #[error("the user name is taken")]
    Taken,
}

fn judge_name(name: &str) -> Result<(), AddUserError> {
    let good = |c: char| !c.is_whitespace() && !c.is_control();
    let length = name.chars().count();
    if (1..=NAME_CHARS_MAX).contains(&length) && name.chars().all(good) {
        Ok(())
    } else {
        Err(AddUserError::Name)
    }
}

impl Engine {
    /// Make a local account.
    pub async fn add_user(
        &self,
        name: &str,
        password: Secret<String>,
        admin: bool,
        actor: Actor,
    ) -> Result<UserId, AddUserError> {
        let name = name.to_owned();
        let new = NewAccount {
            name,
            password,
            admin,
            email: None,
            display_name: None,
        };
        self.add_account(new, actor).await
    }

    /// Make a local account, with all that can be said of it.
    pub async fn add_account(&self, new: NewAccount, actor: Actor) -> Result<UserId, AddUserError> {
        let user = self.new_user(new).await?;
        let id = user.id.clone();
        let audit = self.audit(Event::UserMade, actor, None, format!("made {}", user.name));
        if self.store.add_user(user, audit).await? {
            Ok(id)
        } else {
            Err(AddUserError::Taken)
        }
    }

    async fn new_user(&self, new: NewAccount) -> Result<User, AddUserError> {
        judge_name(&new.name)?;
        judge_password(&new.name, new.password.expose()).map_err(AddUserError::Password)?;
        let salt = self.random();
        let hash = self
            .passwords
            .hash(new.password, salt)
            .await
            .map_err(|_| AddUserError::Hash)?;
        Ok(User {
            id: UserId::new(format!("u_{}", URL_SAFE_NO_PAD.encode(self.random::<16>()))),
            name: new.name,
            display_name: new.display_name,
            email: new.email,
            admin: new.admin,
            password_hash: hash,
            disabled: false,
            created_at: self.now(),
        })
    }

    /// Change a password; the account's sessions end.
    pub async fn change_password(
        &self,
        name: &str,
        password: Secret<String>,
        actor: Actor,
    ) -> Result<(), AddUserError> {
        let user = self
            .store
            .find_user_by_name(name)
            .await?
            .ok_or(AddUserError::NoSuchUser)?;
        judge_password(name, password.expose()).map_err(AddUserError::Password)?;
        let salt = self.random();
        let hash = self
            .passwords
            .hash(password, salt)
            .await
            .map_err(|_| AddUserError::Hash)?;
        let detail = format!("changed the password of {name}");
        let audit = self.audit(Event::UserChanged, actor, None, detail);
        let changed = self.store.set_password(&user.id, &hash, audit).await?;
        if changed {
            Ok(())
        } else {
            Err(AddUserError::NoSuchUser)
        }
    }

    /// Forbid or allow an account. Returns false if there is none by that name.
    pub async fn set_disabled(
        &self,
        name: &str,
        disabled: bool,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        let Some(user) = self.store.find_user_by_name(name).await? else {
            return Ok(false);
        };
        let detail = format!("{} {name}", if disabled { "disabled" } else { "enabled" });
        let audit = self.audit(Event::UserChanged, actor, None, detail);
        self.store.set_disabled(&user.id, disabled, audit).await
    }

    /// A new one-time link, as path and query below the issuer; `None` once there are accounts.
    pub async fn create_setup_link(&self) -> Result<Option<String>, StoreError> {
        if self.store.count_users().await? > 0 {
            return Ok(None);
        }
        let token = self.random_token("vsu_");
        let hash = sha256(token.expose().as_bytes());
        self.store
            .put_setup_link(hash, self.now().plus(LINK_LIFE))
            .await?;
        Ok(Some(format!("/setup?token={}", token.expose())))
    }

    /// GET `/setup`.
    pub async fn setup_page(&self, token: &str, browser: &Browser) -> Reply {
        let hash = sha256(token.as_bytes());
        match self.store.setup_link_is_live(&hash, self.now()).await {
            Ok(true) => self.show_setup(token, String::new(), None, browser),
            Ok(false) => self.dead_link(),
            Err(failure) => Step::Show(self.store_page(&failure)).into(),
        }
    }

    /// POST `/setup`: the first admin, signed in.
    pub async fn set_up(&self, form: SetupForm, browser: &Browser) -> Reply {
        let cookie = browser.pre_session.as_deref().unwrap_or_default();
        if !self.csrf_is_right(cookie, "setup", &form.csrf) {
            return self.dead_link();
        }
        let hash = sha256(form.token.as_bytes());
        match self.store.setup_link_is_live(&hash, self.now()).await {
            Ok(true) => {}
            Ok(false) => return self.dead_link(),
            Err(failure) => return Step::Show(self.store_page(&failure)).into(),
        }
        let new = NewAccount {
            name: form.username.trim().to_owned(),
            password: form.password,
            admin: true,
            email: None,
            display_name: None,
        };
        let user = match self.new_user(new).await {
            Ok(user) => user,
            Err(problem) => {
                let problem = Some(problem.to_string());
                return self.show_setup(&form.token, form.username, problem, browser);
            }
        };
        let detail = format!("{} made the first account", user.name);
        let actor = Actor::Person(user.id.clone());
        let audit = self.audit(Event::SetUp, actor, None, detail);
        match self
            .store
            .spend_setup_link(&hash, user.clone(), self.now(), audit)
            .await
        {
            Ok(true) => {}
            Ok(false) => return self.dead_link(),
            Err(failure) => return Step::Show(self.store_page(&failure)).into(),
        }
        match self.open_session(&user, browser).await {
            Ok((cookie, _)) => {
                let browser = Browser {
                    session: Some(cookie.expose().clone()),
                    ..browser.clone()
                };
                let mut reply = self.signed_in(&browser, &user);
                reply.cookies = Cookies {
                    session: CookieChange::Set(cookie),
                    pre_session: CookieChange::Clear,
                    waiting: CookieChange::Keep,
                };
                reply
            }
            Err(failure) => Step::Show(self.store_page(&failure)).into(),
        }
    }

    fn show_setup(
        &self,
        token: &str,
        username: String,
        problem: Option<String>,
        browser: &Browser,
    ) -> Reply {
        let (cookie, change) = self.pre_session(browser);
        let page = SetupPage {
            token: token.to_owned(),
            csrf: self.csrf(cookie.expose(), "setup"),
            username,
            problem,
        };
        Step::Setup(page).before_sign_in(change)
    }

    fn dead_link(&self) -> Reply {
        let text = "The set-up link was used, has expired, or belongs to another browser.";
        let hint = Some("Restart the hub: while there is no account it prints a new link.");
        let page = self.failure_page(
            FailureStatus::Forbidden,
            "This link does not work",
            text,
            hint,
        );
        Step::Show(page).into()
    }
}
