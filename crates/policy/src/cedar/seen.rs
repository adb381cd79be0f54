//! What of the facts a set of policies looks at. Decisions are remembered by that alone: a newcomer with
//! a name of its own is decided like the one before, unless its name makes a difference.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use vestibule_protocol::trust::{Door, UserAgentKind};

use super::inspect::{Fields, Needs};
use crate::facts::{ClientFacts, Facts, SourceFacts};

/// The facts, with everything that no policy looks at left empty. The standing stays: what flags make
/// of a client begins with it.
pub(super) fn seen(facts: &Facts, needs: &Needs) -> Facts {
    Facts {
        client: client(&facts.client, &needs.client),
        source: source(&facts.source, &needs.source),
        // Always before the policies, and so never left out.
        score: facts.score,
        missing: if needs.missing {
            facts.missing.clone()
        } else {
            BTreeSet::new()
        },
    }
}

fn kept<T: Clone>(fields: &Fields, name: &str, value: &T, else_value: T) -> T {
    if fields.have(name) {
        value.clone()
    } else {
        else_value
    }
}

fn kept_or_none<T: Clone + Default>(fields: &Fields, name: &str, value: &T) -> T {
    kept(fields, name, value, T::default())
}

fn client(client: &ClientFacts, fields: &Fields) -> ClientFacts {
    ClientFacts {
        id: kept_or_none(fields, "id", &client.id),
        host: kept_or_none(fields, "host", &client.host),
        door: kept(fields, "door", &client.door, Door::Dcr),
        software: kept_or_none(fields, "software", &client.software),
        standing: client.standing,
        confidential: kept_or_none(fields, "confidential", &client.confidential),
        catalogued: kept_or_none(fields, "catalogued", &client.catalogued),
        redirects: kept_or_none(fields, "redirects", &client.redirects),
        days_known: kept_or_none(fields, "days_known", &client.days_known),
        people: kept_or_none(fields, "people", &client.people),
        lookalike_of: kept_or_none(fields, "lookalike_of", &client.lookalike_of),
        claims: kept_or_none(fields, "claims", &client.claims),
        homograph_of: kept_or_none(fields, "homograph_of", &client.homograph_of),
        mixed_script: kept_or_none(fields, "mixed_script", &client.mixed_script),
        quality: kept_or_none(fields, "quality", &client.quality),
        foreign_urls: kept_or_none(fields, "foreign_urls", &client.foreign_urls),
        reports: kept_or_none(fields, "reports", &client.reports),
        changes_30d: kept_or_none(fields, "changes_30d", &client.changes_30d),
        domain_proved: kept_or_none(fields, "domain_proved", &client.domain_proved),
    }
}

fn source(source: &SourceFacts, fields: &Fields) -> SourceFacts {
    let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    SourceFacts {
        ip: kept(fields, "ip", &source.ip, nowhere),
        asn: kept_or_none(fields, "asn", &source.asn),
        country: kept_or_none(fields, "country", &source.country),
        listed: kept_or_none(fields, "listed", &source.listed),
        bad_reputation: kept_or_none(fields, "bad_reputation", &source.bad_reputation),
        vendor_egress: kept_or_none(fields, "vendor_egress", &source.vendor_egress),
        registrations_last_hour: kept_or_none(
            fields,
            "registrations_last_hour",
            &source.registrations_last_hour,
        ),
        software_last_hour: kept_or_none(fields, "software_last_hour", &source.software_last_hour),
        user_agent: kept(
            fields,
            "user_agent",
            &source.user_agent,
            UserAgentKind::Missing,
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use vestibule_protocol::trust::{RedirectShape, Signal, Standing};

    use crate::{facts_json, samples};

    /// Facts that are nowhere what is left where nobody looks.
    fn full() -> Facts {
        let Facts { source, .. } = samples::newcomer();
        let text = |text: &str| Some(text.to_owned());
        Facts {
            client: ClientFacts {
                id: "id".to_owned(),
                host: text("agent.example"),
                door: Door::Cimd,
                software: "an agent".to_owned(),
                standing: Standing::Known,
                confidential: true,
                catalogued: true,
                redirects: BTreeSet::from([RedirectShape::PrivateUse]),
                days_known: 1,
                people: 2,
                lookalike_of: text("Claude"),
                claims: text("Claude"),
                homograph_of: text("claude.ai"),
                mixed_script: true,
                quality: 3,
                foreign_urls: true,
                reports: 4,
                changes_30d: 5,
                domain_proved: true,
            },
            source: SourceFacts {
                asn: Some(64_496),
                country: text("CH"),
                listed: true,
                bad_reputation: true,
                vendor_egress: true,
                registrations_last_hour: 6,
                software_last_hour: 7,
                user_agent: UserAgentKind::ALL
                    .iter()
                    .copied()
                    .find(|kind| *kind != UserAgentKind::Missing)
                    .unwrap(),
                ..source
            },
            score: Some(8),
            missing: BTreeSet::from([Signal::Country]),
        }
    }

    fn members(facts: &Facts, record: &str) -> serde_json::Map<String, Value> {
        let json: Value = serde_json::from_str(&facts_json::to_json(facts).to_string()).unwrap();
        json[record].as_object().unwrap().clone()
    }

    /// Every attribute that a policy names reaches it, and no other makes a difference.
    #[test]
    fn what_a_policy_names_is_kept_and_the_rest_is_left_out() {
        let facts = full();
        let nothing = Needs::default();
        for record in ["client", "source"] {
            let all = members(&facts, record);
            assert!(all.len() > 8, "{record}");
            for (name, value) in &all {
                let left = seen(&facts, &Needs::field(record, name));
                let left = members(&left, record);
                assert_eq!(left.get(name), Some(value), "{record}.{name}");
                let without = members(&seen(&facts, &nothing), record);
                let always = name == "standing";
                assert_eq!(without.get(name) == Some(value), always, "{record}.{name}");
            }
        }
        let named = Needs {
            missing: true,
            ..Needs::default()
        };
        assert_eq!(seen(&facts, &named).missing, facts.missing);
        assert_eq!(seen(&facts, &nothing).missing, BTreeSet::new());
        assert_eq!(seen(&facts, &Needs::everything()), facts);
    }
}
