//! From members to metadata: limits, defaults, consistency.

use std::collections::BTreeMap;

use super::{
    ApplicationType, ClientMetadata, DisplayName, GrantTypes, MetadataDoor, MetadataError, Warning,
    credentials::credentials,
    reader::{Reader, wrong},
};
use crate::{
    json::Json,
    redirect_uri::{RedirectKind, RedirectPolicy, RedirectUri},
    scope::ScopeSet,
};

/// DCR-31.
const REDIRECT_URIS_MAX: usize = 20;
const LANGUAGES_MAX: usize = 8;
const LANGUAGE_TAG_MAX: usize = 35;
const CONTACTS_MAX: usize = 10;
const CONTACT_BYTES_MAX: usize = 512;
/// Algorithms of ID tokens.
const ID_TOKEN_ALGS: [&str; 2] = ["RS256", "ES256"];

/// The whole.
pub(super) fn metadata(
    members: &BTreeMap<String, Json>,
    door: MetadataDoor,
    policy: &RedirectPolicy,
) -> Result<(ClientMetadata, Vec<Warning>), MetadataError> {
    let mut reader = Reader::new(members, door);
    let grant_types = grants(&reader)?;
    let redirect_uris = redirects(&reader, "redirect_uris", policy)?;
    if grant_types.authorization_code && redirect_uris.is_empty() {
        return Err(MetadataError::redirect(
            "redirect_uris: at least one is needed",
        ));
    }
    let credentials = credentials(&mut reader)?;
    for name in unmet(&reader) {
        reader.optional::<()>(Err(wrong(name, "is not supported here")))?;
    }
    if grant_types.client_credentials && credentials.methods.is_public() {
        return Err(wrong(
            "grant_types",
            "client_credentials needs a client that authenticates",
        ));
    }
    let scope = scope(&reader);
    let contacts = contacts(&reader);
    let localized = localized(&reader);
    let application_type = application_type(&reader, &redirect_uris)?;
    let client_name = reader.text("client_name")?.and_then(DisplayName::sanitize);
    let software_id = reader.opaque("software_id");
    let software_version = reader.opaque("software_version");
    let id_token_alg = reader.one_of("id_token_signed_response_alg", &ID_TOKEN_ALGS);
    let require_par = reader.flag("require_pushed_authorization_requests")?;
    let default_max_age = reader.number("default_max_age");
    let require_auth_time = reader.flag("require_auth_time");
    let post_logout = redirects(&reader, "post_logout_redirect_uris", policy);
    let metadata = ClientMetadata {
        application_type,
        client_name,
        localized_names: reader.optional(localized)?,
        client_uri: reader.link("client_uri")?,
        logo_uri: reader.link("logo_uri")?,
        tos_uri: reader.link("tos_uri")?,
        policy_uri: reader.link("policy_uri")?,
        scope: reader.optional(scope)?,
        contacts: reader.optional(contacts)?,
        software_id: reader.optional(software_id)?,
        software_version: reader.optional(software_version)?,
        id_token_alg: reader.optional(id_token_alg)?,
        require_par,
        default_max_age: reader.optional(default_max_age)?,
        require_auth_time: reader.optional(require_auth_time)?,
        post_logout_redirect_uris: reader.optional(post_logout)?,
        redirect_uris,
        auth_methods: credentials.methods,
        assertion_alg: credentials.assertion_alg,
        grant_types,
        jwks: credentials.jwks,
        jwks_uri: credentials.jwks_uri,
    };
    Ok((metadata, reader.warnings))
}

/// DCR-14 to DCR-16, DCR-27, CIMD-24, QUIRK-10: intersect, and fail when nothing usable is left.
/// What nobody may have without a voucher is refused by name, not dropped.
fn grants(reader: &Reader<'_>) -> Result<GrantTypes, MetadataError> {
    let asked = reader.texts("grant_types")?.filter(|list| !list.is_empty());
    let asked = asked.unwrap_or_else(|| vec!["authorization_code"]);
    let has = |name: &str| asked.contains(&name);
    let allowed = match reader.door {
        MetadataDoor::Cimd => false,
        MetadataDoor::Dcr {
            client_credentials_allowed,
        } => client_credentials_allowed,
    };
    if has("client_credentials") && !allowed && !reader.is_document() {
        return Err(wrong(
            "grant_types",
            "client_credentials is only for clients that somebody vouched for",
        ));
    }
    let grants = GrantTypes {
        authorization_code: has("authorization_code"),
        // A refresh token without a code grant has nothing to refresh.
        refresh_token: has("refresh_token") && has("authorization_code"),
        client_credentials: has("client_credentials") && allowed,
    };
    if !grants.authorization_code && !grants.client_credentials {
        return Err(wrong(
            "grant_types",
            "none of these is supported here; use authorization_code and refresh_token",
        ));
    }
    if let Some(responses) = reader.texts("response_types")? {
        let code = responses.contains(&"code");
        if grants.authorization_code && !responses.is_empty() && !code {
            return Err(wrong("response_types", "only `code` is supported"));
        }
        if !grants.authorization_code && code {
            return Err(wrong(
                "response_types",
                "`code` needs the grant authorization_code",
            ));
        }
    }
    Ok(grants)
}

/// Demands that we do not meet, which a client must not believe to be met (DCR-14).
fn unmet(reader: &Reader<'_>) -> Vec<&'static str> {
    const WORDS: [&str; 7] = [
        "authorization_encrypted_response_alg",
        "id_token_encrypted_response_alg",
        "introspection_encrypted_response_alg",
        "introspection_signed_response_alg",
        "request_object_encryption_alg",
        "userinfo_encrypted_response_alg",
        "userinfo_signed_response_alg",
    ];
    const FLAGS: [&str; 3] = [
        "dpop_bound_access_tokens",
        "require_signed_request_object",
        "tls_client_certificate_bound_access_tokens",
    ];
    let subject = reader.get("subject_type");
    let private = subject.is_some_and(|kind| kind.as_text() != Some("public"));
    let words = WORDS.into_iter().filter(|name| reader.get(name).is_some());
    let demanded = |name: &&str| {
        reader
            .get(name)
            .is_some_and(|value| *value != Json::Bool(false))
    };
    words
        .chain(FLAGS.into_iter().filter(demanded))
        .chain(private.then_some("subject_type"))
        .collect()
}

/// RU-*, DCR-17, DCR-18: one bad URI refuses the whole body, nothing is dropped in silence
/// (ODCR-02). A member of the wrong type is a metadata error, not a redirect error (DCR-02).
fn redirects(
    reader: &Reader<'_>,
    name: &str,
    policy: &RedirectPolicy,
) -> Result<Vec<RedirectUri>, MetadataError> {
    let raw = reader.texts(name)?.unwrap_or_default();
    if raw.len() > REDIRECT_URIS_MAX {
        return Err(wrong(name, "at most 20"));
    }
    let mut uris: Vec<RedirectUri> = Vec::new();
    for (index, text) in raw.iter().enumerate() {
        let uri = RedirectUri::parse(text, policy)
            .map_err(|failure| MetadataError::redirect(format!("{name}[{index}]: {failure}")))?;
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    Ok(uris)
}

/// ODCR-04, ODCR-05, CIMD-25, QUIRK-13, QUIRK-48. Mixed lists (QUIRK-20) are what their client
/// says; without a word they are `web`.
fn application_type(
    reader: &Reader<'_>,
    redirects: &[RedirectUri],
) -> Result<ApplicationType, MetadataError> {
    let all_local = !redirects.is_empty()
        && redirects
            .iter()
            .all(|uri| uri.kind() != RedirectKind::Https);
    let named = match reader.text("application_type") {
        Ok(None) => None,
        Ok(Some(word)) => ApplicationType::parse(word),
        Err(_) if reader.is_document() => None,
        Err(failure) => return Err(failure),
    };
    match named {
        Some(ApplicationType::Web) if all_local && !reader.is_document() => {
            Err(MetadataError::redirect(
                "redirect_uris: application_type web does not go with local redirect URIs",
            ))
        }
        Some(kind) if !all_local => Ok(kind),
        Some(_) => Ok(ApplicationType::Native),
        None if reader.get("application_type").is_some() && !reader.is_document() => {
            Err(wrong("application_type", "must be native or web"))
        }
        None if all_local => Ok(ApplicationType::Native),
        None => Ok(ApplicationType::Web),
    }
}

fn scope(reader: &Reader<'_>) -> Result<Option<ScopeSet>, MetadataError> {
    let Some(text) = reader.text("scope")? else {
        return Ok(None);
    };
    let set =
        ScopeSet::parse_tolerant(text).map_err(|failure| wrong("scope", &failure.to_string()))?;
    Ok((!set.is_empty()).then_some(set))
}

fn contacts(reader: &Reader<'_>) -> Result<Vec<String>, MetadataError> {
    let contacts = reader.texts("contacts")?.unwrap_or_default();
    let fits = |text: &&str| text.len() <= CONTACT_BYTES_MAX && !text.chars().any(char::is_control);
    if contacts.len() > CONTACTS_MAX || !contacts.iter().all(fits) {
        return Err(wrong(
            "contacts",
            "at most 10 of at most 512 bytes without control characters",
        ));
    }
    let given = contacts.into_iter().filter(|text| !text.is_empty());
    Ok(given.map(str::to_owned).collect())
}

/// DCR-22: `client_name#tag`, at most eight languages; tags compare without case.
fn localized(reader: &Reader<'_>) -> Result<Vec<(String, DisplayName)>, MetadataError> {
    let mut names: Vec<(String, DisplayName)> = Vec::new();
    for (tag, value) in reader.tagged("client_name") {
        let shape = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        if tag.is_empty() || tag.len() > LANGUAGE_TAG_MAX || !tag.bytes().all(shape) {
            return Err(wrong("client_name", "a language tag is malformed"));
        }
        let text = value
            .as_text()
            .ok_or_else(|| wrong("client_name", "must be a string"))?;
        let again = |(known, _): &(String, _)| tag.eq_ignore_ascii_case(known);
        if let Some(name) = DisplayName::sanitize(text)
            && !names.iter().any(again)
        {
            names.push((tag.to_owned(), name));
        }
    }
    if names.len() > LANGUAGES_MAX {
        return Err(wrong("client_name", "at most 8 languages"));
    }
    Ok(names)
}
