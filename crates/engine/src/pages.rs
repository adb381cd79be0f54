//! What pages show, as plain data. Every text of a client is sanitised before it gets here; the
//! templates escape it once more.
//!
//! Not here: HTML, cookies' attributes, status codes.

use vestibule_protocol::{redirect_uri::RedirectKind, secret::Secret, time::Timestamp};

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
