//! A registration inside its own `client_id`: compact, typed, no JSON, no compression. Only what
//! is needed to authorize and to show travels; the rest is neither kept nor echoed
//! (design-details, settled table).

use vestibule_policy::decision::Assessment;
use vestibule_protocol::{
    client_metadata::{
        ApplicationType, AuthMethod, AuthMethods, ClientMetadata, DisplayName, GrantTypes, HttpsUrl,
    },
    redirect_uri::RedirectUri,
    scope::ScopeSet,
    time::Timestamp,
    trust::{Outcome, Risk},
};
use vestibule_seal::compact::{ReadError, Reader, Writer};

/// Registrations of the first releases, without an assessment.
const VERSION_UNSEEN: u8 = 1;
const VERSION: u8 = 2;
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
    /// What spoke against it when it registered. Signals of that moment (its source, a flood) are
    /// gone when a person is asked, so they travel along; they cost it power as long as it lives.
    pub(crate) seen: Option<Seen>,
}

/// The assessment at registration, as small as it can be: which outcomes fired, and the risk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    /// One bit per [`Outcome`], in their order.
    outcomes: u8,
    pub(crate) risk: Risk,
}

impl Seen {
    pub(crate) fn of(assessment: &Assessment) -> Self {
        let bits = Outcome::ALL.iter().rev();
        Self {
            outcomes: bits.fold(0, |byte, outcome| {
                byte << 1 | u8::from(assessment.fired(*outcome))
            }),
            risk: assessment.risk,
        }
    }

    /// Is there anything to carry along? An id without it is two bytes shorter, and says so by its
    /// version.
    pub(crate) fn speaks_against(self) -> bool {
        self.outcomes != 0 || self.risk != Risk::Low
    }

    pub(crate) fn fired(self, outcome: Outcome) -> bool {
        let place = Outcome::ALL.iter().position(|known| *known == outcome);
        place.is_some_and(|place| self.outcomes & (1 << place) != 0)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, ReadError> {
        let outcomes = r.u8()?;
        let risk = Risk::ALL.get(usize::from(r.u8()?)).copied();
        if u32::from(outcomes) >= 1 << Outcome::ALL.len() {
            return Err(ReadError::Flag);
        }
        Ok(Self {
            outcomes,
            risk: risk.ok_or(ReadError::Flag)?,
        })
    }

    fn write(self, w: &mut Writer) {
        w.u8(self.outcomes);
        let place = Risk::ALL.iter().position(|known| *known == self.risk);
        w.u8(place.and_then(|p| u8::try_from(p).ok()).unwrap_or(u8::MAX));
    }
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
        w.u8(match self.seen {
            Some(_) => VERSION,
            None => VERSION_UNSEEN,
        });
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
        if let Some(seen) = self.seen {
            seen.write(&mut w);
        }
        w.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut r = Reader::new(bytes);
        let version = r.u8()?;
        if version != VERSION && version != VERSION_UNSEEN {
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
        let seen = match version {
            VERSION => Some(Seen::read(&mut r)?),
            _ => None,
        };
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
            seen,
        })
    }
}

#[cfg(test)]
mod tests {
    use vestibule_policy::decision::Reason;
    use vestibule_protocol::{
        client_metadata::MetadataDoor, redirect_uri::RedirectPolicy, trust::Standing,
    };

    use super::*;

    fn sealed(seen: Option<Seen>) -> SealedRegistration {
        let body = br#"{"redirect_uris":["https://agent.example/callback"],"client_name":"Agent"}"#;
        let door = MetadataDoor::Dcr {
            client_credentials_allowed: false,
        };
        let metadata = ClientMetadata::parse_json(body, door, &RedirectPolicy::default());
        SealedRegistration {
            issued_at: Timestamp::from_seconds(1_800_000_000),
            use_by: Timestamp::from_seconds(1_807_776_000),
            metadata: reduce(metadata.unwrap().0),
            ceiling: None,
            vouched: false,
            seen,
        }
    }

    fn assessed(outcomes: &[Outcome], risk: Risk) -> Assessment {
        Assessment::clean(Standing::Unverified).with(Reason {
            policy: "p".to_owned(),
            say: None,
            outcomes: outcomes.to_vec(),
            risk,
        })
    }

    /// What was found at registration comes back as it was, outcome by outcome.
    #[test]
    fn an_assessment_travels_in_the_id() {
        for outcome in Outcome::ALL {
            for risk in Risk::ALL {
                let seen = Seen::of(&assessed(&[*outcome], *risk));
                let read = SealedRegistration::decode(&sealed(Some(seen)).encode()).unwrap();
                let read = read.seen.unwrap();
                assert_eq!(read.risk, *risk);
                for other in Outcome::ALL {
                    assert_eq!(
                        read.fired(*other),
                        other == outcome,
                        "{outcome:?} {other:?}"
                    );
                }
            }
        }
    }

    /// Ids of earlier releases open as they did, in their one spelling.
    #[test]
    fn an_id_without_an_assessment_keeps_its_spelling() {
        let plain = sealed(None).encode();
        assert_eq!(plain.first(), Some(&VERSION_UNSEEN));
        let read = SealedRegistration::decode(&plain).unwrap();
        assert_eq!(read.seen, None);
        assert_eq!(read.encode(), plain);
        assert!(!Seen::of(&Assessment::clean(Standing::Unverified)).speaks_against());
    }

    #[test]
    fn an_unknown_outcome_or_risk_is_refused() {
        let seen = Seen::of(&assessed(&[Outcome::Warn], Risk::Raised));
        let plain = sealed(Some(seen)).encode();
        let (risk, outcomes) = (plain.len() - 1, plain.len() - 2);
        for at in [risk, outcomes] {
            let mut changed = plain.clone();
            changed[at] = 0x80;
            assert!(SealedRegistration::decode(&changed).is_err());
        }
    }
}
