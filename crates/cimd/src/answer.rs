//! What a host's answer means. Only a 200 with JSON that validates is a document (CIMD-18,
//! CIMD-43); "gone" and "invalid" withdraw the client, whereas a wall between us and the host says
//! nothing about it (CIMD-52, QUIRK-14, QUIRK-15).

/// The classes of answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// 200 and a JSON media type: read the body.
    Document,
    /// The host says that there is no such client, or serves something that is not one.
    Withdrawn(&'static str),
    /// A bot wall, an error of the host, an HTML page: try again later, use the last good copy.
    Unreachable(&'static str),
}

/// Judge status and media type. Redirects are never followed and count as an answer that is not a
/// document: the id does not serve one (CIMD-13, CIMD-44).
pub fn classify(status: u16, content_type: Option<&str>, cf_mitigated: bool) -> Class {
    if cf_mitigated {
        return Class::Unreachable("the host answered with a bot challenge");
    }
    match status {
        200 => media_type(content_type),
        404 | 410 => Class::Withdrawn("the host has no such document"),
        301 | 302 | 303 | 307 | 308 => Class::Withdrawn("the host answered with a redirect"),
        403 | 408 | 425 | 429 | 500..=599 => Class::Unreachable("the host did not serve it now"),
        _ => Class::Withdrawn("the host did not answer with status 200"),
    }
}

/// `application/json` or `application/<something>+json` (CIMD-19); HTML is a wall or a mistake of
/// deployment, not an empty client (QUIRK-15); other types are refused (CIMD-20).
fn media_type(content_type: Option<&str>) -> Class {
    let essence = content_type.unwrap_or_default();
    let essence = essence
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.strip_prefix("application/") {
        Some(subtype) if subtype == "json" || (subtype.len() > 5 && subtype.ends_with("+json")) => {
            Class::Document
        }
        _ if essence == "text/html" => Class::Unreachable("the host answered with a web page"),
        _ => Class::Withdrawn("the host did not answer with a JSON media type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIMD-18, CIMD-43, CIMD-44, CIMD-52: every status but 200 is a failure, of one of two kinds.
    #[test]
    fn only_200_is_a_document() {
        #[rustfmt::skip]
        let rows = [
            (200, 'd'), (201, 'w'), (202, 'w'), (204, 'w'), (206, 'w'), (301, 'w'), (302, 'w'),
            (303, 'w'), (304, 'w'), (307, 'w'), (308, 'w'), (400, 'w'), (401, 'w'), (403, 'u'),
            (404, 'w'), (410, 'w'), (429, 'u'), (500, 'u'), (502, 'u'), (503, 'u'), (521, 'u'),
        ];
        for (status, expected) in rows {
            let found = match classify(status, Some("application/json"), false) {
                Class::Document => 'd',
                Class::Withdrawn(_) => 'w',
                Class::Unreachable(_) => 'u',
            };
            assert_eq!(found, expected, "{status}");
        }
    }

    /// CIMD-19, CIMD-20, QUIRK-15, QUIRK-16: JSON types pass, HTML is a wall, the rest is refused.
    #[test]
    fn the_media_type_must_be_json() {
        #[rustfmt::skip]
        let rows = [
            (Some("application/json"), 'd'), (Some("application/json; charset=utf-8"), 'd'),
            (Some("Application/JSON"), 'd'), (Some("application/cimd+json"), 'd'),
            (Some("application/ld+json; charset=utf-8"), 'd'), (Some("application/+json"), 'w'),
            (Some("text/html"), 'u'), (Some("text/html; charset=utf-8"), 'u'),
            (Some("text/plain"), 'w'), (Some("text/json"), 'w'), (None, 'w'), (Some(""), 'w'),
        ];
        for (media_type, expected) in rows {
            let found = match classify(200, media_type, false) {
                Class::Document => 'd',
                Class::Withdrawn(_) => 'w',
                Class::Unreachable(_) => 'u',
            };
            assert_eq!(found, expected, "{media_type:?}");
        }
    }

    /// QUIRK-14: a bot challenge is not the vendor's word, whatever its status.
    #[test]
    fn a_bot_challenge_withdraws_nobody() {
        for status in [200, 403, 404] {
            let class = classify(status, Some("text/html"), true);
            assert!(matches!(class, Class::Unreachable(_)), "{status}");
        }
    }
}
