//! From members to metadata: types, limits, defaults, consistency.

use std::collections::BTreeMap;

use super::{
    ApplicationType, AuthMethod, AuthMethods, ClientMetadata, DisplayName, GrantTypes, HttpsUrl,
    MetadataDoor, MetadataError, Warning,
};
use crate::{
    json::Json,
    redirect_uri::{RedirectKind, RedirectPolicy, RedirectUri},
    scope::ScopeSet,
};

/// DCR-31.
const REDIRECT_URIS_MAX: usize = 20;
const LANGUAGES_MAX: usize = 8;
const KEYS_MAX: usize = 32;
const CONTACTS_MAX: usize = 10;
const TEXT_BYTES_MAX: usize = 512;
/// Members of private and symmetric keys (DCR-20, CIMD-30).
const PRIVATE_KEY_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Algorithms of assertions and ID tokens.
const ASSERTION_ALGS: [&str; 4] = ["ES256", "EdDSA", "RS256", "PS256"];
const ID_TOKEN_ALGS: [&str; 2] = ["RS256", "ES256"];

type Members = BTreeMap<String, Json>;

/// Reads members and says which one is wrong.
pub(super) struct Reader<'a> {
    members: &'a Members,
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    /// Absent and `null` are the same; an empty text too (GEN-04).
    fn get(&self, name: &str) -> Option<&'a Json> {
        self.members.get(name).filter(|value| match value {
            Json::Null => false,
            Json::Text(text) => !text.is_empty(),
            Json::Array(_) | Json::Bool(_) | Json::Number(_) | Json::Object(_) => true,
        })
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, MetadataError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let text = value
            .as_text()
            .ok_or_else(|| wrong(name, "must be a string"))?;
        if text.len() > 4 * TEXT_BYTES_MAX {
            return Err(wrong(name, "is too long"));
        }
        Ok(Some(text))
    }

    fn short_text(&self, name: &str) -> Result<Option<String>, MetadataError> {
        let text = self.text(name)?;
        if text
            .is_some_and(|text| text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control))
        {
            return Err(wrong(
                name,
                "must be at most 512 bytes without control characters",
            ));
        }
        Ok(text.map(str::to_owned))
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>, MetadataError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let elements = value
            .as_array()
            .ok_or_else(|| wrong(name, "must be an array of strings"))?;
        let texts: Option<Vec<_>> = elements.iter().map(Json::as_text).collect();
        texts
            .map(Some)
            .ok_or_else(|| wrong(name, "must be an array of strings"))
    }

    fn flag(&self, name: &str) -> Result<bool, MetadataError> {
        match self.get(name) {
            None => Ok(false),
            Some(Json::Bool(value)) => Ok(*value),
            Some(_) => Err(wrong(name, "must be true or false")),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, MetadataError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Number(number)) => number
                .as_u64()
                .map(Some)
                .ok_or_else(|| wrong(name, "must be a whole number")),
            Some(_) => Err(wrong(name, "must be a number")),
        }
    }

    /// A link for people. In a document a bad one is dropped (CIMD-26): the person loses a link,
    /// not the client. A registration is told.
    fn link(&mut self, name: &str, door: MetadataDoor) -> Result<Option<HttpsUrl>, MetadataError> {
        let raw = match (self.text(name), door) {
            (Ok(None), _) => return Ok(None),
            (Ok(Some(raw)), _) => raw,
            (Err(_), MetadataDoor::Cimd) => "",
            (Err(failure), MetadataDoor::Dcr { .. }) => return Err(failure),
        };
        match (HttpsUrl::parse(raw), door) {
            (Some(url), _) => Ok(Some(url)),
            (None, MetadataDoor::Cimd) => {
                self.warnings.push(Warning(format!(
                    "{name} is not an https URL and was dropped"
                )));
                Ok(None)
            }
            // Local development registers http links; they are worth nothing to a person, but no
            // reason to lose the client either.
            (None, MetadataDoor::Dcr { .. }) if raw.starts_with("http://") => {
                self.warnings
                    .push(Warning(format!("{name} is not https and was dropped")));
                Ok(None)
            }
            (None, MetadataDoor::Dcr { .. }) => Err(wrong(name, "must be an https URL")),
        }
    }
}

pub(super) fn wrong(name: &str, rule: &str) -> MetadataError {
    MetadataError::metadata(format!("{name}: {rule}"))
}

/// The whole.
pub(super) fn metadata(
    members: &Members,
    door: MetadataDoor,
    policy: &RedirectPolicy,
) -> Result<(ClientMetadata, Vec<Warning>), MetadataError> {
    let mut reader = Reader {
        members,
        warnings: Vec::new(),
    };
    let grant_types = grants(&reader, door)?;
    let redirect_uris = redirects(&reader, "redirect_uris", policy)?;
    if grant_types.authorization_code && redirect_uris.is_empty() {
        return Err(MetadataError::redirect(
            "redirect_uris: at least one is needed",
        ));
    }
    let auth_methods = methods(&reader, door)?;
    let (jwks, jwks_uri) = keys(&reader)?;
    let keyless = jwks.is_none() && jwks_uri.is_none();
    let auth_methods = match (auth_methods.accepts(AuthMethod::PrivateKeyJwt), keyless) {
        (true, true) if auth_methods.accepts(AuthMethod::None) => {
            AuthMethods::only(AuthMethod::None)
        }
        (true, true) if door == MetadataDoor::Cimd => {
            return Err(MetadataError::unauthorized(
                "private_key_jwt needs jwks or jwks_uri",
            ));
        }
        (true, true) => {
            return Err(wrong(
                "token_endpoint_auth_method",
                "private_key_jwt needs jwks or jwks_uri",
            ));
        }
        _ => auth_methods,
    };
    if grant_types.client_credentials && auth_methods.is_public() {
        return Err(wrong(
            "grant_types",
            "client_credentials needs a client that authenticates",
        ));
    }
    let localized_names = localized(&reader)?;
    let metadata = ClientMetadata {
        application_type: application_type(&reader, &redirect_uris, door)?,
        client_name: reader.text("client_name")?.and_then(DisplayName::sanitize),
        localized_names,
        client_uri: reader.link("client_uri", door)?,
        logo_uri: reader.link("logo_uri", door)?,
        tos_uri: reader.link("tos_uri", door)?,
        policy_uri: reader.link("policy_uri", door)?,
        assertion_alg: one_of(&reader, "token_endpoint_auth_signing_alg", &ASSERTION_ALGS)?,
        scope: scope(&mut reader, door)?,
        contacts: contacts(&reader)?,
        software_id: reader.short_text("software_id")?,
        software_version: reader.short_text("software_version")?,
        id_token_alg: one_of(&reader, "id_token_signed_response_alg", &ID_TOKEN_ALGS)?,
        require_par: reader.flag("require_pushed_authorization_requests")?,
        default_max_age: reader.number("default_max_age")?,
        require_auth_time: reader.flag("require_auth_time")?,
        post_logout_redirect_uris: redirects(&reader, "post_logout_redirect_uris", policy)?,
        redirect_uris,
        auth_methods,
        grant_types,
        jwks,
        jwks_uri,
    };
    Ok((metadata, reader.warnings))
}

/// DCR-15, DCR-16, DCR-27, CIMD-24, QUIRK-10: intersect, and fail only when nothing usable is left.
fn grants(reader: &Reader<'_>, door: MetadataDoor) -> Result<GrantTypes, MetadataError> {
    let asked = reader.texts("grant_types")?.filter(|list| !list.is_empty());
    let asked = asked.unwrap_or_else(|| vec!["authorization_code"]);
    let has = |name: &str| asked.contains(&name);
    let allowed = match door {
        MetadataDoor::Cimd => false,
        MetadataDoor::Dcr {
            client_credentials_allowed,
        } => client_credentials_allowed,
    };
    let grants = GrantTypes {
        authorization_code: has("authorization_code"),
        // A refresh token without a code grant has nothing to refresh.
        refresh_token: has("refresh_token") && has("authorization_code"),
        client_credentials: has("client_credentials") && allowed,
    };
    if !grants.authorization_code && !grants.client_credentials {
        let rule = if has("client_credentials") {
            "client_credentials is only for clients that somebody vouched for"
        } else {
            "none of these grants is supported; use authorization_code and refresh_token"
        };
        return Err(wrong("grant_types", rule));
    }
    let responses = reader.texts("response_types")?;
    if let Some(responses) = responses {
        if grants.authorization_code && !responses.is_empty() && !responses.contains(&"code") {
            return Err(wrong("response_types", "only `code` is supported"));
        }
        if !grants.authorization_code && responses.contains(&"code") {
            return Err(wrong(
                "response_types",
                "`code` needs the grant authorization_code",
            ));
        }
    }
    Ok(grants)
}

/// RU-*, DCR-17, DCR-18: one bad URI refuses the whole body, nothing is dropped in silence
/// (ODCR-02).
fn redirects(
    reader: &Reader<'_>,
    name: &str,
    policy: &RedirectPolicy,
) -> Result<Vec<RedirectUri>, MetadataError> {
    let bad = |rule: String| MetadataError::redirect(format!("{name}{rule}"));
    let raw = match reader.texts(name) {
        Ok(raw) => raw.unwrap_or_default(),
        // A member of the wrong type is a metadata error, not a redirect error (DCR-02).
        Err(failure) => return Err(failure),
    };
    if raw.len() > REDIRECT_URIS_MAX {
        return Err(wrong(name, "at most 20"));
    }
    let mut uris: Vec<RedirectUri> = Vec::new();
    for (index, text) in raw.iter().enumerate() {
        let uri = RedirectUri::parse(text, policy)
            .map_err(|failure| bad(format!("[{index}]: {failure}")))?;
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    Ok(uris)
}

/// DCR-15, CIMD-54 to CIMD-59, QUIRK-11, QUIRK-44.
fn methods(reader: &Reader<'_>, door: MetadataDoor) -> Result<AuthMethods, MetadataError> {
    const ONE: &str = "token_endpoint_auth_method";
    const MANY: &str = "token_endpoint_auth_methods_supported";
    let one = reader.text(ONE)?;
    let many = reader.texts(MANY)?.filter(|list| !list.is_empty());
    if let (Some(one), Some(many)) = (one, &many)
        && !many.contains(&one)
    {
        return Err(wrong(
            ONE,
            "must be one of token_endpoint_auth_methods_supported",
        ));
    }
    let cimd = door == MetadataDoor::Cimd;
    let mut wanted: Vec<&str> = one.into_iter().collect();
    wanted.extend(many.unwrap_or_default());
    if wanted.is_empty() {
        wanted.push(if cimd { "none" } else { "client_secret_basic" });
    }
    if cimd && wanted.iter().any(|method| is_shared_secret(method)) {
        return Err(wrong(
            ONE,
            "a document cannot use a method with a shared secret",
        ));
    }
    let usable: Vec<AuthMethod> = wanted
        .iter()
        .filter_map(|name| AuthMethod::parse(name))
        .collect();
    match (AuthMethods::of(&usable), cimd) {
        (Some(methods), _) => Ok(methods),
        (None, true) => Err(MetadataError::unauthorized(
            "none of the document's authentication methods is supported here",
        )),
        (None, false) => Err(wrong(
            ONE,
            "supported are none, client_secret_basic, client_secret_post and private_key_jwt",
        )),
    }
}

fn is_shared_secret(method: &str) -> bool {
    method.starts_with("client_secret_")
}

/// DCR-19, DCR-20, DCR-21, CIMD-30, CIMD-32.
fn keys(reader: &Reader<'_>) -> Result<(Option<String>, Option<HttpsUrl>), MetadataError> {
    let uri = match reader.text("jwks_uri")? {
        None => None,
        Some(raw) => {
            Some(HttpsUrl::parse(raw).ok_or_else(|| wrong("jwks_uri", "must be an https URL"))?)
        }
    };
    let Some(set) = reader.get("jwks") else {
        return Ok((None, uri));
    };
    if uri.is_some() {
        return Err(wrong("jwks", "must not be used together with jwks_uri"));
    }
    let keys = set
        .as_object()
        .and_then(|set| set.get("keys"))
        .and_then(Json::as_array)
        .ok_or_else(|| wrong("jwks", "must be an object with an array `keys`"))?;
    if keys.is_empty() || keys.len() > KEYS_MAX {
        return Err(wrong("jwks", "must hold 1 to 32 keys"));
    }
    for key in keys {
        let key = key
            .as_object()
            .ok_or_else(|| wrong("jwks", "a key must be an object"))?;
        let symmetric = key.get("kty").and_then(Json::as_text) == Some("oct");
        if symmetric
            || PRIVATE_KEY_MEMBERS
                .iter()
                .any(|member| key.contains_key(*member))
        {
            return Err(wrong("jwks", "must hold public keys only"));
        }
    }
    Ok((Some(set.to_text()), None))
}

/// ODCR-04, ODCR-05, CIMD-25, QUIRK-13, QUIRK-48.
fn application_type(
    reader: &Reader<'_>,
    redirects: &[RedirectUri],
    door: MetadataDoor,
) -> Result<ApplicationType, MetadataError> {
    let on_the_web = redirects
        .iter()
        .any(|uri| uri.kind() == RedirectKind::Https);
    let inferred = if on_the_web || redirects.is_empty() {
        ApplicationType::Web
    } else {
        ApplicationType::Native
    };
    let all_local = redirects
        .iter()
        .all(|uri| uri.kind() != RedirectKind::Https);
    match reader.text("application_type")?.map(ApplicationType::parse) {
        None => Ok(inferred),
        Some(Some(ApplicationType::Web)) if !redirects.is_empty() && all_local => match door {
            MetadataDoor::Cimd => Ok(ApplicationType::Native),
            MetadataDoor::Dcr { .. } => Err(MetadataError::redirect(
                "redirect_uris: application_type web does not go with local redirect URIs",
            )),
        },
        Some(Some(kind)) => Ok(kind),
        Some(None) => Err(wrong("application_type", "must be native or web")),
    }
}

fn one_of(
    reader: &Reader<'_>,
    name: &str,
    allowed: &[&str],
) -> Result<Option<String>, MetadataError> {
    let Some(value) = reader.text(name)? else {
        return Ok(None);
    };
    if allowed.contains(&value) {
        return Ok(Some(value.to_owned()));
    }
    Err(wrong(
        name,
        &format!("must be one of {}", allowed.join(", ")),
    ))
}

fn scope(reader: &mut Reader<'_>, door: MetadataDoor) -> Result<Option<ScopeSet>, MetadataError> {
    let Some(text) = reader.text("scope")? else {
        return Ok(None);
    };
    match (ScopeSet::parse_tolerant(text), door) {
        (Ok(set), _) => Ok((!set.is_empty()).then_some(set)),
        (Err(failure), MetadataDoor::Dcr { .. }) => Err(wrong("scope", &failure.to_string())),
        (Err(failure), MetadataDoor::Cimd) => {
            reader
                .warnings
                .push(Warning(format!("scope was dropped: {failure}")));
            Ok(None)
        }
    }
}

fn contacts(reader: &Reader<'_>) -> Result<Vec<String>, MetadataError> {
    let contacts = reader.texts("contacts")?.unwrap_or_default();
    if contacts.len() > CONTACTS_MAX || contacts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(wrong("contacts", "at most 10 of at most 512 bytes"));
    }
    Ok(contacts.into_iter().map(str::to_owned).collect())
}

/// DCR-22: `client_name#tag`, at most eight languages; tags compare without case.
fn localized(reader: &Reader<'_>) -> Result<Vec<(String, DisplayName)>, MetadataError> {
    let mut names: Vec<(String, DisplayName)> = Vec::new();
    for (member, value) in reader.members {
        let Some(tag) = member.strip_prefix("client_name#") else {
            continue;
        };
        let shape = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        if tag.is_empty() || tag.len() > 35 || !tag.bytes().all(shape) {
            return Err(wrong("client_name", "a language tag is malformed"));
        }
        let text = value
            .as_text()
            .ok_or_else(|| wrong("client_name", "must be a string"))?;
        if let Some(name) = DisplayName::sanitize(text)
            && !names
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(tag))
        {
            names.push((tag.to_owned(), name));
        }
    }
    if names.len() > LANGUAGES_MAX {
        return Err(wrong("client_name", "at most 8 languages"));
    }
    Ok(names)
}
