//! Words and numbers as people read them.

use vestibule_engine::ClientHost;
use vestibule_protocol::time::Timestamp;

/// Who asks: its host first (AC-12). What has none is called what it is.
pub(super) fn who(client: &ClientHost) -> String {
    match client {
        ClientHost::Host(host) => host.clone(),
        ClientHost::FirstParty => "An app of this hub".to_owned(),
        ClientHost::SelfRegistered => "An app that registered itself".to_owned(),
    }
}

/// A span of time in its largest unit that leaves little over, rounded down but never to nothing.
pub(super) fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..7_200 if seconds != 3_600 => (seconds.div_ceil(60), "minute"),
        ..172_800 if seconds != 86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    counted(count, unit)
}

/// `1 app`, `2 apps`.
pub(super) fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {one}{plural}")
}

/// A day, in UTC.
pub(super) fn date(at: Timestamp) -> Option<String> {
    Some(civil(at)?.date().to_string())
}

/// A day and its minute, in UTC.
pub(super) fn minute(at: Timestamp) -> String {
    civil(at).map_or_else(String::new, |at| {
        format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute())
    })
}

fn civil(at: Timestamp) -> Option<jiff::civil::DateTime> {
    let at = jiff::Timestamp::from_second(i64::try_from(at.seconds()).ok()?).ok()?;
    Some(jiff::tz::TimeZone::UTC.to_datetime(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_in_its_largest_unit() {
        #[rustfmt::skip]
        let rows = [
            (0,         "0 minutes"),
            (1,         "1 minute"),
            (600,       "10 minutes"),
            (3_600,     "1 hour"),
            (5_400,     "90 minutes"),
            (28_800,    "8 hours"),
            (86_400,    "1 day"),
            (129_600,   "36 hours"),
            (172_800,   "2 days"),
            (604_800,   "7 days"),
            (7_776_000, "90 days"),
        ];
        for (seconds, text) in rows {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn a_time_is_said_in_utc() {
        let at = Timestamp::from_seconds(1_795_500_000);
        assert_eq!(date(at).as_deref(), Some("2026-11-24"));
        assert_eq!(minute(at), "2026-11-24 06:00 UTC");
        assert_eq!(date(Timestamp::from_seconds(u64::MAX)), None);
        assert_eq!(minute(Timestamp::from_seconds(u64::MAX)), "");
    }
}
