//! What an admin does in the browser: the two doors, and who waits.
//!
//! Only admins who are signed in see these pages, and a change asks for a sign-in that is fresh.
//! The same changes can be made by command (`vestibule settings`, `vestibule approvals`); both end
//! in the same functions.
//!
//! Not here: the rest of the console.

use std::{sync::Arc, time::Duration};

use vestibule_protocol::{
    audit::{Actor, Event},
    trust::{CimdMode, DcrMode, Door},
};
use vestibule_store::{
    StoreError,
    approvals::{ApprovalId, ApprovalPhase, ApprovalRow, Decision},
    sessions::Session,
    users::User,
    versions::Document,
};

use crate::{
    AdminPage, ApprovalView, ApprovalsPage, Browser, ClientHost, Engine, FailureStatus, Reply,
    SettingsChange, SettingsError, Step,
};

/// How fresh the sign-in of an admin who changes something must be.
const FRESH: Duration = Duration::from_mins(15);
/// Decided approvals hold this long.
const DECISION_HOLDS: Duration = Duration::from_hours(90 * 24);
/// Rows of a page.
const ROWS_MAX: usize = 50;
/// Changes that the page names.
const VERSIONS_MAX: usize = 8;
/// Longest part of a `client_id` that a page shows.
const ID_CHARS_MAX: usize = 120;

/// The form with the two doors.
#[derive(Clone, Debug)]
pub struct DoorsForm {
    /// Sequence of the settings that the page showed.
    pub seq: u64,
    /// Who may register.
    pub dcr: DcrMode,
    /// Who may come with a document.
    pub cimd: CimdMode,
    /// Belongs to the session.
    pub csrf: String,
}

/// The form of one that waits.
#[derive(Clone, Debug)]
pub struct ApprovalForm {
    /// Which.
    pub id: String,
    /// Approve, or deny.
    pub approve: bool,
    /// The page that it was on.
    pub before: Option<u64>,
    /// Belongs to the session.
    pub csrf: String,
}

/// An admin who is signed in.
struct Admin<'a> {
    cookie: &'a str,
    session: Arc<Session>,
    user: Arc<User>,
}

impl Engine {
    /// GET `/admin/`.
    pub async fn admin_page(&self, browser: &Browser, notice: Option<&'static str>) -> Reply {
        match self.admin(browser).await {
            Ok(admin) => self.doors(&admin, notice.map(str::to_owned)).await,
            Err(reply) => reply,
        }
    }

    /// POST `/admin/settings`.
    pub async fn change_doors(&self, form: DoorsForm, browser: &Browser) -> Reply {
        let admin = match self.admin_who_changes(browser, &form.csrf).await {
            Ok(admin) => admin,
            Err(reply) => return reply,
        };
        let change = SettingsChange::Doors(form.dcr, form.cimd);
        let actor = Actor::Admin(admin.user.name.clone());
        let notice = match self.change_settings(change, form.seq, actor).await {
            Ok(_) => "The doors are as you set them.".to_owned(),
            Err(SettingsError::Stale) => {
                "Somebody else changed the settings meanwhile; this is how they are now.".to_owned()
            }
            Err(SettingsError::Invalid(why)) => format!("Nothing was changed: {why}."),
            Err(SettingsError::Store(failure)) => {
                return Step::Show(self.store_page(&failure)).into();
            }
        };
        self.doors(&admin, Some(notice)).await
    }

    /// GET `/admin/approvals`: the newest with a number below `before`.
    pub async fn approvals_page(&self, before: Option<u64>, browser: &Browser) -> Reply {
        match self.admin(browser).await {
            Ok(admin) => self.approvals(&admin, before, None).await,
            Err(reply) => reply,
        }
    }

    /// POST `/admin/approvals`.
    pub async fn decide_approval_form(&self, form: ApprovalForm, browser: &Browser) -> Reply {
        let admin = match self.admin_who_changes(browser, &form.csrf).await {
            Ok(admin) => admin,
            Err(reply) => return reply,
        };
        let decision = if form.approve {
            Decision::Approve
        } else {
            Decision::Deny
        };
        let notice = match form.id.parse().map(ApprovalId::new) {
            Err(_) => "There is no such request.",
            Ok(id) => match self.decide_approval(id, decision, &admin.user.name).await {
                Ok(true) if form.approve => "Approved. The page of whoever waits goes on now.",
                Ok(true) => "Denied.",
                Ok(false) => "Somebody else decided this, or it is gone.",
                Err(failure) => return Step::Show(self.store_page(&failure)).into(),
            },
        };
        let notice = Some(notice.to_owned());
        self.approvals(&admin, form.before, notice).await
    }

    /// Decide about one that waits; false if there is none by this number, or it is decided so.
    pub async fn decide_approval(
        &self,
        id: ApprovalId,
        decision: Decision,
        by: &str,
    ) -> Result<bool, StoreError> {
        let audit = self.audit(
            Event::ApprovalDecided,
            Actor::Admin(by.to_owned()),
            None,
            format!("{} number {}", decision.as_str(), id.number()),
        );
        let until = self.now().plus(DECISION_HOLDS);
        self.store
            .decide_approval(id, decision, by, until, audit)
            .await
    }

    async fn admin<'a>(&self, browser: &'a Browser) -> Result<Admin<'a>, Reply> {
        let found = self.session(browser).await;
        match (found, browser.session.as_deref()) {
            (Ok(Some((session, user))), Some(cookie)) if user.admin => Ok(Admin {
                cookie,
                session,
                user,
            }),
            (Ok(Some(_)), _) => {
                let text = "Only administrators of this hub see this page.";
                let status = FailureStatus::Forbidden;
                let page = self.failure_page(status, "Not for this account", text, None);
                Err(Step::Show(page).into())
            }
            (Ok(None), _) => Err(self.sign_in_again(browser, None)),
            (Err(failure), _) => Err(Step::Show(self.store_page(&failure)).into()),
        }
    }

    /// An admin whose form belongs to the session, and whose sign-in is fresh.
    async fn admin_who_changes<'a>(
        &self,
        browser: &'a Browser,
        csrf: &str,
    ) -> Result<Admin<'a>, Reply> {
        let cookie = browser.session.as_deref().unwrap_or_default();
        if !self.csrf_is_right(cookie, "admin", csrf) {
            let text = "This page belongs to another session; nothing was changed.";
            let status = FailureStatus::Forbidden;
            let page = self.failure_page(status, "Start again", text, None);
            return Err(Step::Show(page).into());
        }
        let admin = self.admin(browser).await?;
        if self.now().since(admin.session.auth_time) > FRESH {
            let why = "Sign in again to change something here; nothing was changed yet.";
            return Err(self.sign_in_again(browser, Some(why)));
        }
        Ok(admin)
    }

    async fn doors(&self, admin: &Admin<'_>, notice: Option<String>) -> Reply {
        match self.read_doors(admin, notice).await {
            Ok(page) => Step::Admin(Box::new(page)).into(),
            Err(failure) => Step::Show(self.store_page(&failure)).into(),
        }
    }

    async fn read_doors(
        &self,
        admin: &Admin<'_>,
        notice: Option<String>,
    ) -> Result<AdminPage, StoreError> {
        let settings = self.settings();
        let (waiting, older) = self.waiting_before(None).await?;
        let versions = self
            .store
            .document_versions(Document::Settings, VERSIONS_MAX)
            .await?;
        Ok(AdminPage {
            account: admin.user.name.clone(),
            csrf: self.csrf(admin.cookie, "admin"),
            seq: settings.seq,
            dcr: settings.dcr,
            cimd: settings.cimd,
            stored_clients: self.store.count_clients().await?,
            waiting: waiting.len(),
            more_wait: older.is_some(),
            warnings: self.warnings(),
            notice,
            versions: versions
                .into_iter()
                .map(|row| (row.at, row.actor))
                .collect(),
        })
    }

    /// What an admin should think about now.
    pub fn warnings(&self) -> Vec<String> {
        let live = self.live();
        let settings = &live.settings;
        let mut warnings = Vec::new();
        match (settings.dcr, settings.cimd) {
            (DcrMode::Off, CimdMode::Off) => warnings.push(
                "Both doors are closed: no new app can connect. Apps that have a grant go on."
                    .to_owned(),
            ),
            (DcrMode::Off, CimdMode::Listed) if settings.cimd_listed.is_empty() => warnings.push(
                "The list of documents is empty and registration is off: no new app can connect."
                    .to_owned(),
            ),
            _ => {}
        }
        warnings.extend(self.degraded());
        warnings
    }

    /// A page of those that wait, newest first, and where the next one begins.
    async fn waiting_before(
        &self,
        before: Option<u64>,
    ) -> Result<(Vec<ApprovalRow>, Option<u64>), StoreError> {
        let (waiting, before) = (Some(ApprovalPhase::Waiting), before.map(ApprovalId::new));
        // One more tells whether there is a next page.
        let mut rows = self
            .store
            .list_approvals(waiting, before, ROWS_MAX + 1)
            .await?;
        let more = rows.len() > ROWS_MAX;
        rows.truncate(ROWS_MAX);
        let last = rows.last().map(|row| row.id.number());
        Ok((rows, last.filter(|_| more)))
    }

    async fn approvals(
        &self,
        admin: &Admin<'_>,
        before: Option<u64>,
        notice: Option<String>,
    ) -> Reply {
        match self.waiting_before(before).await {
            Ok((rows, older)) => Step::Approvals(Box::new(ApprovalsPage {
                account: admin.user.name.clone(),
                csrf: self.csrf(admin.cookie, "admin"),
                waiting: rows.into_iter().map(view).collect(),
                before,
                older,
                notice,
            }))
            .into(),
            Err(failure) => Step::Show(self.store_page(&failure)).into(),
        }
    }
}

fn view(row: ApprovalRow) -> ApprovalView {
    ApprovalView {
        id: row.id.number().to_string(),
        client_host: match (row.ask.door, row.ask.host) {
            (Door::Cimd, Some(host)) => ClientHost::Host(host),
            (Door::Admin, _) => ClientHost::FirstParty,
            (Door::Cimd | Door::Dcr, _) => ClientHost::SelfRegistered,
        },
        name: row.ask.display_name,
        client_id: row.ask.subject_text.chars().take(ID_CHARS_MAX).collect(),
        reasons: row.ask.reasons,
        since: row.ask.now,
        times: row.times,
    }
}
