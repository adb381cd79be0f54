//! Tickets: the authorization request on its way through sign-in and consent, sealed, in a hidden
//! form field. Nothing is stored until a person decides.
//!
//! A ticket is bound to the browser that it was made for: to the pre-session cookie before
//! sign-in, to the session cookie after it. Its id and its age stay through all of that, and the id
//! is used up by the decision (design section 5). A pushed request (RFC 9126) is the same thing
//! before any browser was there, so it serves one decision too.

use std::time::Duration;

use vestibule_protocol::{
    authorize::{AuthorizationRequest, Prompt},
    client_metadata::AuthMethod,
    ids::{TicketId, UserId},
    pkce::CodeChallenge,
    redirect_uri::{RedirectUri, TrustedRedirect},
    resource_indicator::ResourceUri,
    scope::ScopeSet,
    time::Timestamp,
};
use vestibule_seal::{
    Kind, MacKind,
    compact::{ReadError, Reader, Writer},
    constant_time_eq, sha256,
};

use crate::{Engine, authorize::Asked, hint::Hint};

const VERSION: u8 = 2;
/// How long a person may take.
pub(crate) const TICKET_LIFE: Duration = Duration::from_mins(30);
/// Life of a pushed request (oauth table 1.3).
pub(crate) const PUSHED_LIFE: Duration = Duration::from_secs(90);
const RESOURCES_MAX: usize = 10;

/// Which cookie a ticket belongs to: the start of the digest of its value.
pub(crate) type Binding = [u8; 16];

/// What stays the same of a request on its whole way, however often it is sealed anew: the id
/// that the decision uses up, when its time began to run, and who brought it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) id: TicketId,
    pub(crate) since: Timestamp,
    /// How the client authenticated when it pushed the request; `None` if a browser brought it.
    /// The code is not redeemed by a weaker method (CIMD-65, T26).
    pub(crate) pushed_by: Option<AuthMethod>,
}

impl Origin {
    /// After this nothing that carries the id opens, so its use may be forgotten.
    pub(crate) fn until(&self) -> Timestamp {
        self.since.plus(TICKET_LIFE)
    }
}

/// An authorization request that waits.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) origin: Origin,
    pub(crate) binding: Binding,
    pub(crate) client_id: String,
    /// Digest of the metadata that was looked at.
    pub(crate) digest: [u8; 32],
    pub(crate) redirect_uri: String,
    pub(crate) redirect_named: bool,
    pub(crate) state: Option<String>,
    pub(crate) scope: Option<ScopeSet>,
    pub(crate) resource: Vec<ResourceUri>,
    pub(crate) challenge: CodeChallenge,
    pub(crate) nonce: Option<String>,
    pub(crate) prompt: Prompt,
    pub(crate) max_age: Option<u64>,
    pub(crate) login_hint: Option<String>,
    pub(crate) hint: Option<Hint>,
}

/// The binding of a cookie's value.
pub(crate) fn binding_of(cookie: &str) -> Binding {
    let digest = sha256(cookie.as_bytes());
    digest.first_chunk::<16>().copied().unwrap_or_default()
}

impl Ticket {
    /// A ticket for a request.
    pub(crate) fn of(asked: &Asked, binding: Binding) -> Self {
        let request = &asked.request;
        Self {
            origin: asked.origin,
            binding,
            client_id: asked.client.client_id.clone(),
            digest: asked.client.metadata.security_digest(),
            redirect_uri: request.redirect.as_str().to_owned(),
            redirect_named: request.redirect.was_explicit(),
            state: request.state.clone(),
            scope: request.scope.clone(),
            resource: request.resource.clone(),
            challenge: request.challenge,
            nonce: request.nonce.clone(),
            prompt: request.prompt,
            max_age: request.max_age,
            login_hint: request.login_hint.clone(),
            hint: asked.hint.clone(),
        }
    }

    /// The request again, if the client still has the redirect URI.
    pub(crate) fn request(&self, registered: &[RedirectUri]) -> Option<AuthorizationRequest> {
        let named = self.redirect_named.then_some(self.redirect_uri.as_str());
        let redirect = TrustedRedirect::matching(registered, named).ok()?;
        (redirect.as_str() == self.redirect_uri).then(|| AuthorizationRequest {
            redirect,
            state: self.state.clone(),
            scope: self.scope.clone(),
            resource: self.resource.clone(),
            challenge: self.challenge,
            nonce: self.nonce.clone(),
            prompt: self.prompt,
            max_age: self.max_age,
            login_hint: self.login_hint.clone(),
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION);
        w.array(self.origin.id.as_bytes());
        w.array(&self.binding);
        w.str(&self.client_id);
        w.array(&self.digest);
        w.str(&self.redirect_uri);
        let prompt = self.prompt;
        let flags = [
            self.redirect_named,
            prompt.none,
            prompt.login,
            prompt.consent,
            prompt.select_account,
        ];
        w.u8(flags
            .iter()
            .rev()
            .fold(0, |byte, flag| byte << 1 | u8::from(*flag)));
        let text = |w: &mut Writer, value: &str| w.str(value);
        w.option(self.state.as_deref(), text);
        w.option(
            self.scope.as_ref().map(ToString::to_string).as_deref(),
            text,
        );
        w.list(&self.resource, |w, uri| w.str(uri.as_str()));
        w.array(self.challenge.as_bytes());
        w.option(self.nonce.as_deref(), text);
        w.option(self.max_age, Writer::varint);
        w.option(self.login_hint.as_deref(), text);
        w.option(self.hint.as_ref(), |w, hint| match hint {
            Hint::Nobody => w.bool(false),
            Hint::Person(id) => {
                w.bool(true);
                w.str(id.as_str());
            }
        });
        w.option(self.origin.pushed_by.map(AuthMethod::as_str), text);
        w.varint(self.origin.since.seconds());
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(ReadError::Flag);
        }
        let text = |r: &mut Reader<'_>| r.str().map(str::to_owned);
        let origin = Origin {
            id: TicketId::new(r.array()?),
            since: Timestamp::from_seconds(0),
            pushed_by: None,
        };
        let binding = r.array()?;
        let client_id = text(&mut r)?;
        let digest = r.array()?;
        let redirect_uri = text(&mut r)?;
        let flags = r.u8()?;
        let flag = |bit: u8| flags & (1 << bit) != 0;
        let mut ticket = Self {
            origin,
            binding,
            client_id,
            digest,
            redirect_uri,
            redirect_named: flag(0),
            prompt: Prompt {
                none: flag(1),
                login: flag(2),
                consent: flag(3),
                select_account: flag(4),
            },
            state: r.option(text)?,
            scope: r.option(text)?.map(|text| ScopeSet::from_text(&text)),
            resource: r.list(RESOURCES_MAX, |r| {
                ResourceUri::parse(r.str()?).map_err(|_| ReadError::Text)
            })?,
            challenge: CodeChallenge::from_bytes(r.array()?),
            nonce: r.option(text)?,
            max_age: r.option(Reader::varint)?,
            login_hint: r.option(text)?,
            hint: r.option(|r| {
                if r.bool()? {
                    Ok::<_, ReadError>(Hint::Person(UserId::new(r.str()?)))
                } else {
                    Ok(Hint::Nobody)
                }
            })?,
        };
        ticket.origin.pushed_by =
            r.option(|r| AuthMethod::parse(r.str()?).ok_or(ReadError::Text))?;
        ticket.origin.since = Timestamp::from_seconds(r.varint()?);
        r.finish()?;
        Ok(ticket)
    }
}

/// A ticket that does not open for this browser.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoTicket {
    /// It took too long.
    Expired,
    /// Another browser's, forged, or damaged.
    Foreign,
}

impl Engine {
    /// A request that is new here.
    pub(crate) fn new_origin(&self, pushed_by: Option<AuthMethod>) -> Origin {
        Origin {
            id: TicketId::new(self.random()),
            since: self.now(),
            pushed_by,
        }
    }

    pub(crate) fn seal_ticket(&self, kind: Kind, ticket: &Ticket) -> String {
        self.live()
            .keys
            .ring
            .seal(kind, &ticket.encode(), self.random())
    }

    /// Open a ticket of this browser.
    pub(crate) fn open_ticket(&self, sealed: &str, binding: Binding) -> Result<Ticket, NoTicket> {
        let ticket = self.open_any(Kind::Ticket, sealed, TICKET_LIFE)?;
        if constant_time_eq(&ticket.binding, &binding) {
            Ok(ticket)
        } else {
            Err(NoTicket::Foreign)
        }
    }

    /// Open a pushed request.
    pub(crate) fn open_pushed(&self, sealed: &str) -> Result<Ticket, NoTicket> {
        self.open_any(Kind::PushedRequest, sealed, PUSHED_LIFE)
    }

    fn open_any(&self, kind: Kind, sealed: &str, life: Duration) -> Result<Ticket, NoTicket> {
        let plain = self
            .live()
            .keys
            .ring
            .open(kind, sealed)
            .map_err(|_| NoTicket::Foreign)?;
        let ticket = Ticket::decode(&plain).map_err(|_| NoTicket::Foreign)?;
        if self.now() >= ticket.origin.since.plus(life) {
            return Err(NoTicket::Expired);
        }
        Ok(ticket)
    }

    /// The hidden field that ties a form to a browser (A9): MAC over its cookie and what the form
    /// is for.
    pub(crate) fn csrf(&self, cookie: &str, purpose: &str) -> String {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let live = self.live();
        let message: [&[u8]; 2] = [cookie.as_bytes(), purpose.as_bytes()];
        let (key, mac) = live.keys.ring.mac(MacKind::Csrf, &message);
        let mut bytes = key.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Is this the field that was given to this browser for this purpose?
    pub(crate) fn csrf_is_right(&self, cookie: &str, purpose: &str, field: &str) -> bool {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(field) else {
            return false;
        };
        let Some((key, mac)) = bytes.split_first_chunk::<2>() else {
            return false;
        };
        let key = vestibule_seal::KeyId(u16::from_be_bytes(*key));
        let message: [&[u8]; 2] = [cookie.as_bytes(), purpose.as_bytes()];
        self.live()
            .keys
            .ring
            .verify(MacKind::Csrf, key, &message, mac)
    }
}
