//! A registration inside its own `client_id`: compact, typed, no JSON, no compression. Only what
//! is needed to authorize and to show travels; the rest is neither kept nor echoed
//! (design-details, settled table).

use vestibule_protocol::{
    client_metadata::{
        ApplicationType, AuthMethod, AuthMethods, ClientMetadata, DisplayName, GrantTypes, HttpsUrl,
    },
    redirect_uri::RedirectUri,
    scope::ScopeSet,
    time::Timestamp,
};
use vestibule_seal::compact::{ReadError, Reader, Writer};

const VERSION: u8 = 1;
const LIST_MAX: usize = 32;

/// What is sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SealedRegistration {
    pub(crate) issued_at: Timestamp,
    pub(crate) use_by: Timestamp,
    pub(crate) metadata: ClientMetadata,
    /// Clamp of an initial access token.
    pub(crate) ceiling: Option<ScopeSet>,
    /// An admin's initial access token stood for it.
    pub(crate) vouched: bool,
}

/// Take out what is not sealed.
pub(crate) fn reduce(metadata: ClientMetadata) -> ClientMetadata {
    ClientMetadata {
        localized_names: Vec::new(),
        logo_uri: None,
        tos_uri: None,
        policy_uri: None,
        contacts: Vec::new(),
        post_logout_redirect_uris: Vec::new(),
        ..metadata
    }
}

const METHODS: [AuthMethod; 4] = [
    AuthMethod::None,
    AuthMethod::ClientSecretBasic,
    AuthMethod::ClientSecretPost,
    AuthMethod::PrivateKeyJwt,
];

impl SealedRegistration {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let metadata = &self.metadata;
        let mut w = Writer::new();
        w.u8(VERSION);
        w.varint(self.issued_at.seconds());
        w.varint(self.use_by.since(self.issued_at).as_secs());
        let grants = metadata.grant_types;
        let flags = [
            grants.authorization_code,
            grants.refresh_token,
            grants.client_credentials,
            metadata.application_type == ApplicationType::Native,
            metadata.require_par,
            metadata.require_auth_time,
            self.vouched,
        ];
        w.u8(flags
            .iter()
            .rev()
            .fold(0, |byte, flag| byte << 1 | u8::from(*flag)));
        let methods: Vec<AuthMethod> = metadata.auth_methods.iter().collect();
        w.list(methods, |w, method| {
            let number = METHODS
                .iter()
                .position(|known| *known == method)
                .unwrap_or(0);
            w.u8(u8::try_from(number).unwrap_or(0));
        });
        w.list(&metadata.redirect_uris, |w, uri| w.str(uri.as_str()));
        let text = |w: &mut Writer, value: &str| w.str(value);
        w.option(metadata.client_name.as_ref().map(DisplayName::as_str), text);
        w.option(metadata.client_uri.as_ref().map(HttpsUrl::as_str), text);
        w.option(
            metadata.scope.as_ref().map(ToString::to_string).as_deref(),
            text,
        );
        w.option(metadata.software_id.as_deref(), text);
        w.option(metadata.software_version.as_deref(), text);
        w.option(metadata.jwks_uri.as_ref().map(HttpsUrl::as_str), text);
        w.option(metadata.jwks.as_deref(), text);
        w.option(metadata.assertion_alg.as_deref(), text);
        w.option(metadata.id_token_alg.as_deref(), text);
        w.option(metadata.default_max_age, Writer::varint);
        w.option(
            self.ceiling.as_ref().map(ToString::to_string).as_deref(),
            text,
        );
        w.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(ReadError::Flag);
        }
        let issued_at = Timestamp::from_seconds(r.varint()?);
        let use_by = issued_at.plus(std::time::Duration::from_secs(r.varint()?));
        let flags = r.u8()?;
        let flag = |bit: u8| flags & (1 << bit) != 0;
        let methods = r.list(METHODS.len(), |r| {
            METHODS
                .get(usize::from(r.u8()?))
                .copied()
                .ok_or(ReadError::Flag)
        })?;
        let redirect_uris = r.list(LIST_MAX, |r| {
            RedirectUri::accepted_before(r.str()?).ok_or(ReadError::Text)
        })?;
        let text = |r: &mut Reader<'_>| r.str().map(str::to_owned);
        let url = |raw: Option<String>| match raw {
            None => Ok(None),
            Some(raw) => HttpsUrl::parse(&raw).map(Some).ok_or(ReadError::Text),
        };
        let client_name = r.option(text)?.as_deref().and_then(DisplayName::sanitize);
        let client_uri = url(r.option(text)?)?;
        let scope = r.option(text)?.map(|text| ScopeSet::from_text(&text));
        let software_id = r.option(text)?;
        let software_version = r.option(text)?;
        let jwks_uri = url(r.option(text)?)?;
        let jwks = r.option(text)?;
        let assertion_alg = r.option(text)?;
        let id_token_alg = r.option(text)?;
        let default_max_age = r.option(Reader::varint)?;
        let ceiling = r.option(text)?.map(|text| ScopeSet::from_text(&text));
        r.finish()?;
        let metadata = ClientMetadata {
            redirect_uris,
            client_name,
            localized_names: Vec::new(),
            client_uri,
            logo_uri: None,
            tos_uri: None,
            policy_uri: None,
            auth_methods: AuthMethods::of(&methods).ok_or(ReadError::Flag)?,
            assertion_alg,
            grant_types: GrantTypes {
                authorization_code: flag(0),
                refresh_token: flag(1),
                client_credentials: flag(2),
            },
            scope,
            jwks,
            jwks_uri,
            application_type: if flag(3) {
                ApplicationType::Native
            } else {
                ApplicationType::Web
            },
            contacts: Vec::new(),
            software_id,
            software_version,
            id_token_alg,
            require_par: flag(4),
            default_max_age,
            require_auth_time: flag(5),
            post_logout_redirect_uris: Vec::new(),
        };
        Ok(Self {
            issued_at,
            use_by,
            metadata,
            ceiling,
            vouched: flag(6),
        })
    }
}
