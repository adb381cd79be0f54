//! What pages show, as plain data. Every text of a client is sanitised before it gets here; the
//! templates escape it once more.
//!
//! Not here: HTML, cookies' attributes, status codes.

use vestibule_protocol::{
    redirect_uri::RedirectKind,
    secret::Secret,
    time::Timestamp,
    trust::{CimdMode, DcrMode},
};

use crate::Source;

/// A browser's request, as far as the engine looks at it.
#[derive(Clone, Debug)]
pub struct Browser {
    /// Where it comes from.
    pub source: Source,
    /// Value of the session cookie.
    pub session: Option<String>,
    /// Value of the pre-session cookie.
    pub pre_session: Option<String>,
    /// Value of the cookie that holds a request which waits for an admin.
    pub waiting: Option<String>,
}

/// What becomes of a cookie.
#[derive(Clone, Debug, Default)]
pub enum CookieChange {
    /// Nothing.
    #[default]
    Keep,
    /// Take it away.
    Clear,
    /// Set it.
    Set(Secret<String>),
}

/// What becomes of both cookies.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    /// The session.
    pub session: CookieChange,
    /// The pre-session.
    pub pre_session: CookieChange,
    /// The request that waits for an admin, so that its page can go on by itself.
    pub waiting: CookieChange,
}

/// An answer to a browser.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What to show, or where to go.
    pub step: Step,
    /// Its cookies.
    pub cookies: Cookies,
}

impl From<Step> for Reply {
    fn from(step: Step) -> Self {
        Self {
            step,
            cookies: Cookies::default(),
        }
    }
}

impl Step {
    /// An answer to somebody who is not signed in, with what becomes of the pre-session cookie.
    pub(crate) fn before_sign_in(self, pre_session: CookieChange) -> Reply {
        Reply {
            step: self,
            cookies: Cookies {
                pre_session,
                ..Cookies::default()
            },
        }
    }
}

/// Where a browser is on its way.
#[derive(Clone, Debug)]
pub enum Step {
    /// Ask for consent.
    Consent(Box<ConsentPage>),
    /// An error for a client that nobody knows: the person decides to go on (RU-13).
    Leave(LeavePage),
    /// 303 to this absolute URL: a client's redirect URI with its answer.
    Redirect(String),
    /// Ask for the first account.
    Setup(SetupPage),
    /// An error that cannot be returned.
    Show(FailurePage),
    /// Ask for name and password.
    SignIn(SignInPage),
    /// Signed in, nothing else to do.
    SignedIn(SignedInPage),
    /// Signed out.
    SignedOut,
    /// The client waits for an admin.
    Waiting(WaitingPage),
    /// The person reported the client; nothing was granted.
    Reported(ReportedPage),
    /// The doors, for an admin.
    Admin(Box<AdminPage>),
    /// Who waits for an admin.
    Approvals(Box<ApprovalsPage>),
    /// 303 to one of our own pages, below the issuer's path.
    Own(&'static str),
}

/// Name and password.
#[derive(Clone, Debug)]
pub struct SignInPage {
    /// The request that waits, sealed.
    pub ticket: Option<String>,
    /// Belongs to the browser.
    pub csrf: String,
    /// What was typed or hinted.
    pub username: String,
    /// Host of the client that asks.
    pub client_host: Option<String>,
    /// What it calls itself.
    pub client_name: Option<String>,
    /// What went wrong last time.
    pub problem: Option<SignInProblem>,
    /// Why somebody who is signed in is asked again.
    pub again: Option<&'static str>,
    /// Where the form's answer may redirect to, when consent was given before (GEN-21).
    pub form_action: Option<String>,
}

/// Why a sign-in did not work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignInProblem {
    /// Too many tries.
    Throttled {
        /// Seconds.
        seconds: u64,
    },
    /// One sentence for both.
    WrongNameOrPassword,
}

/// The first thing that a person sees of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientHost {
    /// An admin of this hub made it.
    FirstParty,
    /// The host of its document.
    Host(String),
    /// It registered itself and has no home that could be shown.
    SelfRegistered,
}

/// The verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Badge {
    /// An admin made it.
    FirstParty,
    /// Its exact identity is known.
    Known,
    /// Nobody vouches for it, and something speaks against it.
    Raised,
    /// Nobody vouches for it.
    Unverified,
    /// It proved a domain, or an admin vouches for it.
    Verified,
}

/// One scope with its tick box.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeRow {
    /// The token.
    pub scope: String,
    /// For people.
    pub description: String,
    /// Comes ticked.
    pub ticked: bool,
}

/// Scopes by what they let an agent do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScopeGroups {
    /// Look.
    pub read: Vec<ScopeRow>,
    /// Change.
    pub write: Vec<ScopeRow>,
    /// Destroy.
    pub destructive: Vec<ScopeRow>,
}

/// The consent page (design section 8), in its order.
#[derive(Clone, Debug)]
pub struct ConsentPage {
    /// The request, sealed.
    pub ticket: String,
    /// Belongs to the session.
    pub csrf: String,
    /// Who asks: first.
    pub client_host: ClientHost,
    /// The verdict.
    pub badge: Badge,
    /// Why.
    pub reasons: Vec<String>,
    /// What speaks against it, each a plain sentence; empty at low risk.
    pub warnings: Vec<String>,
    /// The known app that it looks like without being it.
    pub imitates: Option<String>,
    /// Nobody here has met it before today.
    pub first_seen_today: bool,
    /// Whether "Allow" needs a second confirmation.
    pub confirm: bool,
    /// What it calls itself: second.
    pub claims_name: Option<String>,
    /// Host of the home page that it names.
    pub client_uri_host: Option<String>,
    /// Where the code will be sent.
    pub redirect_host: String,
    /// What kind of place that is.
    pub redirect_kind: RedirectKind,
    /// Every redirect is on this machine: any program here could pose as it (MCP-AS-28).
    pub loopback_warning: bool,
    /// Which resource.
    pub resource_name: String,
    /// Its URI.
    pub resource_uri: String,
    /// Signed in as.
    pub account: String,
    /// What it may do there.
    pub scopes: ScopeGroups,
    /// What it may know.
    pub identity_scopes: Vec<ScopeRow>,
    /// Asked for, and not to be had at today's trust.
    pub withheld: Vec<ScopeRow>,
    /// How long it may stay connected, shortest first; empty where there is no choice.
    pub durations: Vec<DurationChoice>,
    /// How long it stays connected at most, in seconds; `None` when only for one access token.
    pub stays_connected_seconds: Option<u64>,
    /// Life of one access token, in seconds.
    pub access_seconds: u64,
    /// What is different from the last time, or from a moment ago.
    pub changed: Vec<String>,
    /// When it registered itself.
    pub registered_at: Option<Timestamp>,
    /// Where the form's answer may redirect to (GEN-21).
    pub form_action: String,
}

/// One choice of how long an agent stays connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DurationChoice {
    /// Seconds; the form's value.
    pub seconds: u64,
    /// Comes chosen.
    pub chosen: bool,
}

/// The client waits for an admin (outcome `hold`). The page asks again by itself.
#[derive(Clone, Debug)]
pub struct WaitingPage {
    /// The request, sealed.
    pub ticket: String,
    /// Belongs to the session.
    pub csrf: String,
    /// Who asks.
    pub client_host: ClientHost,
    /// What it calls itself.
    pub claims_name: Option<String>,
    /// Why it waits.
    pub reasons: Vec<String>,
    /// Whether the page can ask again by itself: the request fits into a cookie.
    pub by_itself: bool,
    /// The queue is full: nobody was asked.
    pub full: bool,
    /// To find it in the log and in `vestibule approvals`.
    pub reference: String,
    /// Where the answer may redirect to, once it goes on (GEN-21).
    pub form_action: String,
}

/// A report was taken.
#[derive(Clone, Debug)]
pub struct ReportedPage {
    /// What was reported: its host, or that it registered itself.
    pub client_host: ClientHost,
    /// Back to the app, with `access_denied`.
    pub to: String,
    /// Host of that.
    pub host: String,
}

/// The doors, for an admin.
#[derive(Clone, Debug)]
pub struct AdminPage {
    /// Signed in as.
    pub account: String,
    /// Belongs to the session.
    pub csrf: String,
    /// Sequence of the settings that the page shows.
    pub seq: u64,
    /// Who may register.
    pub dcr: DcrMode,
    /// Who may come with a document.
    pub cimd: CimdMode,
    /// Apps with a row, which go on when a door closes.
    pub stored_clients: u64,
    /// How many wait for an approval.
    pub waiting: usize,
    /// And more than these.
    pub more_wait: bool,
    /// What to think about: no door is open, the policies could not be read, …
    pub warnings: Vec<String>,
    /// What just happened.
    pub notice: Option<String>,
    /// The latest changes, newest first: when, who.
    pub versions: Vec<(Timestamp, String)>,
}

/// One that waits.
#[derive(Clone, Debug)]
pub struct ApprovalView {
    /// For the form.
    pub id: String,
    /// Who asks.
    pub client_host: ClientHost,
    /// What it calls itself.
    pub name: Option<String>,
    /// Its exact id, cut to what a page can show.
    pub client_id: String,
    /// Why it waits.
    pub reasons: Vec<String>,
    /// First asked.
    pub since: Timestamp,
    /// How often people came with it.
    pub times: u64,
}

/// Who waits for an admin.
#[derive(Clone, Debug)]
pub struct ApprovalsPage {
    /// Signed in as.
    pub account: String,
    /// Belongs to the session.
    pub csrf: String,
    /// Newest first.
    pub waiting: Vec<ApprovalView>,
    /// Those with a lower number are shown; all of them if there is none.
    pub before: Option<u64>,
    /// More wait before this number.
    pub older: Option<u64>,
    /// What just happened.
    pub notice: Option<String>,
}

/// What kind of answer an error page is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureStatus {
    /// 400.
    BadRequest,
    /// 502: a client's host.
    BadGateway,
    /// 403.
    Forbidden,
    /// 429.
    TooMany {
        /// Seconds.
        retry_after: u64,
    },
    /// 503.
    Unavailable {
        /// Seconds.
        retry_after: u64,
    },
}

/// An error page.
#[derive(Clone, Debug)]
pub struct FailurePage {
    /// Status.
    pub status: FailureStatus,
    /// One line.
    pub title: &'static str,
    /// What happened.
    pub explanation: String,
    /// What to do.
    pub hint: Option<String>,
    /// To find it in the log.
    pub reference: String,
}

/// An error for the client, offered to the person first.
#[derive(Clone, Debug)]
pub struct LeavePage {
    /// Where the link leads.
    pub host: String,
    /// The link.
    pub to: String,
    /// What happened.
    pub explanation: String,
    /// To find it in the log.
    pub reference: String,
}

/// Signed in.
#[derive(Clone, Debug)]
pub struct SignedInPage {
    /// As whom.
    pub account: String,
    /// For the form that signs out.
    pub csrf: String,
    /// May administer.
    pub admin: bool,
}

/// The first account.
#[derive(Clone, Debug)]
pub struct SetupPage {
    /// From the link.
    pub token: String,
    /// Belongs to the browser.
    pub csrf: String,
    /// What was typed.
    pub username: String,
    /// What is wrong with it.
    pub problem: Option<String>,
}
