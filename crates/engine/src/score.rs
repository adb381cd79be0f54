//! The third-party risk score: one HTTP hook that may say how bad a request looks, and that can
//! neither delay nor break a sign-in (design section 6).
//!
//! | Rule                                                     | Enforced by                       |
//! |----------------------------------------------------------|-----------------------------------|
//! | whoever asks waits no longer than the deadline           | [`Scores::score`]                 |
//! | one call per key at a time, and it outlives its asker    | `Flight`, a task of its own       |
//! | a hook that fails again and again is left alone a while  | `Circuit`                         |
//! | an answer is an exact shape, or no answer                | `Answer::parse`                   |
//! | the hook can tell that we ask                            | [`HttpScoreHook`], the signature  |
//!
//! The request is signed: `Vestibule-Signature: t=<seconds>,v1=<hex>`, where `v1` is HMAC-SHA-256
//! under the shared secret over `<seconds>.<body>`. The time in it lets the hook refuse replays.
//!
//! There is no error: without an answer there is no score, and a policy decides what that means.
//!
//! Not here: what is asked, and what a score changes. Nothing is kept beyond this node's memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use quick_cache::sync::Cache;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use vestibule_fetch::{Fetcher, OperatorUrl};
use vestibule_policy::signals::score::{
    ANSWER_BYTES_MAX, read_answer, signature_header, string_to_sign,
};
use vestibule_protocol::secret::Secret;
use vestibule_seal::{hmac_sha256, sha256};

use crate::Clock;

/// How long a hook may take unless configured otherwise.
pub const SCORE_DEADLINE: Duration = Duration::from_millis(300);
/// The longest that can be configured: a person waits for it.
pub const SCORE_DEADLINE_MAX: Duration = Duration::from_secs(2);

/// Answers remembered at most, about 1 MB.
const ANSWERS_MAX: usize = 10_000;
/// Calls at a time: fewer than the fetcher has seats, so that other peers keep theirs.
const FLIGHTS_MAX: usize = 32;
/// Failures in a row after which the hook is left alone, and for how long.
const FAILURES_MAX: u32 = 5;
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// Bounds of how long an answer is good; the shortest for one that does not say.
const TTL_MIN: Duration = Duration::from_mins(1);
const TTL_MAX: Duration = Duration::from_hours(24);
/// Shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 16;

/// Somebody who scores requests.
#[async_trait]
pub trait ScoreHook: Send + Sync {
    /// The answer to a request, both JSON texts; `None` for whatever went wrong.
    async fn ask(&self, request: &str) -> Option<String>;
}

/// The secret is too short to sign with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the secret of the score hook must have at least 16 bytes")]
pub struct WeakHookSecret;

/// A hook behind a URL that configuration names.
pub struct HttpScoreHook {
    clock: Arc<dyn Clock>,
    deadline: Duration,
    fetcher: Arc<Fetcher>,
    secret: Secret<Vec<u8>>,
    url: OperatorUrl,
}

impl HttpScoreHook {
    /// A hook that is asked at this URL. The deadline is at most [`SCORE_DEADLINE_MAX`].
    pub fn new(
        fetcher: Arc<Fetcher>,
        clock: Arc<dyn Clock>,
        url: OperatorUrl,
        secret: Secret<Vec<u8>>,
        deadline: Duration,
    ) -> Result<Self, WeakHookSecret> {
        if secret.expose().len() < SECRET_BYTES_MIN {
            return Err(WeakHookSecret);
        }
        Ok(Self {
            clock,
            deadline: deadline.min(SCORE_DEADLINE_MAX),
            fetcher,
            secret,
            url,
        })
    }

    fn signature(&self, body: &str) -> String {
        let now = self.clock.now().seconds();
        let signed = string_to_sign(now, body);
        signature_header(now, &hmac_sha256(self.secret.expose(), signed.as_bytes()))
    }
}

#[async_trait]
impl ScoreHook for HttpScoreHook {
    async fn ask(&self, request: &str) -> Option<String> {
        let signature = self.signature(request);
        let headers = [("vestibule-signature", signature.as_str())];
        let answer = self.fetcher.post_json_operator(
            &self.url,
            request.as_bytes().to_vec(),
            &headers,
            self.deadline,
            ANSWER_BYTES_MAX,
        );
        let origin = self.url.origin();
        let answer = answer
            .await
            .inspect_err(|failure| tracing::debug!(origin, %failure, "the score hook failed"))
            .ok()?;
        let is_json = answer.content_type.as_deref().is_some_and(is_json);
        if answer.status != 200 || !is_json {
            let status = answer.status;
            tracing::debug!(origin, status, is_json, "the score hook gave no JSON");
            return None;
        }
        String::from_utf8(answer.body.to_vec()).ok()
    }
}

/// `application/json`, with or without parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// What a hook says, as long as it is believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Answer {
    /// 0 (good) to 100 (bad).
    score: u32,
    ttl: Duration,
}

impl Answer {
    /// The documented form ([`read_answer`]); an answer that does not say how long it is good is good
    /// for the shortest time.
    fn parse(text: &str) -> Option<Self> {
        let answer = read_answer(text.as_bytes())?;
        Some(Self {
            score: answer.score,
            ttl: Duration::from_secs(answer.ttl_s).clamp(TTL_MIN, TTL_MAX),
        })
    }
}

/// Scores, as many as are remembered, and the calls that bring them.
#[derive(Clone)]
pub struct Scores(Arc<Shared>);

struct Shared {
    /// Score and end, by the hash of the key, however long that is.
    answers: Cache<[u8; 32], (u32, Instant)>,
    deadline: Duration,
    hook: Arc<dyn ScoreHook>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    circuit: Circuit,
    /// Where the score of each call under way will be told.
    flights: HashMap<[u8; 32], watch::Receiver<Option<u32>>>,
}

impl Scores {
    /// With a hook that nobody waits for longer than this, at most [`SCORE_DEADLINE_MAX`].
    pub fn new(hook: Arc<dyn ScoreHook>, deadline: Duration) -> Self {
        Self(Arc::new(Shared {
            answers: Cache::new(ANSWERS_MAX),
            deadline: deadline.min(SCORE_DEADLINE_MAX),
            hook,
            state: Mutex::default(),
        }))
    }

    /// The score of this request, 0 (good) to 100 (bad): remembered, or asked for. `None` after
    /// the deadline, for an answer that is none, and at once while the hook is left alone or too
    /// many calls are under way.
    ///
    /// `key` names everything that the answer depends on: requests with one key share their answer.
    /// The call goes on when the caller does not, so that whoever hangs up takes no
    /// score away from others.
    pub async fn score(&self, key: &str, request: &str) -> Option<u32> {
        let key = sha256(key.as_bytes());
        let mut told = match self.0.board(key, Instant::now()) {
            Boarding::Remembered(score) => return Some(score),
            Boarding::Refused => return None,
            Boarding::UnderWay(told) => told,
            Boarding::First(flight, told) => {
                tokio::spawn(flight.go(request.to_owned()));
                told
            }
        };
        let told = timeout(self.0.deadline, told.wait_for(Option::is_some)).await;
        told.ok()?.ok().and_then(|score| *score)
    }
}

/// How somebody gets to a score.
enum Boarding {
    /// By a call of their own.
    First(Flight, watch::Receiver<Option<u32>>),
    /// Not at all.
    Refused,
    /// At once.
    Remembered(u32),
    /// By the call of somebody else.
    UnderWay(watch::Receiver<Option<u32>>),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decided under one lock, so that no call is made for an answer that just came.
    fn board(self: &Arc<Self>, key: [u8; 32], now: Instant) -> Boarding {
        let mut state = self.state();
        if let Some((score, good_until)) = self.answers.get(&key)
            && now < good_until
        {
            return Boarding::Remembered(score);
        }
        if let Some(told) = state.flights.get(&key) {
            return Boarding::UnderWay(told.clone());
        }
        if state.flights.len() >= FLIGHTS_MAX || !state.circuit.lets_through(now) {
            return Boarding::Refused;
        }
        let (tell, told) = watch::channel(None);
        state.flights.insert(key, told.clone());
        let flight = Flight {
            answer: None,
            key,
            shared: self.clone(),
            tell,
        };
        Boarding::First(flight, told)
    }
}

/// A call under way. However it ends, by a panic or with the runtime, too, it lands.
struct Flight {
    answer: Option<Answer>,
    key: [u8; 32],
    shared: Arc<Shared>,
    tell: watch::Sender<Option<u32>>,
}

impl Flight {
    async fn go(mut self, request: String) {
        let answer = timeout(self.shared.deadline, self.shared.hook.ask(&request)).await;
        let answer = answer.ok().flatten();
        self.answer = answer.and_then(|text| Answer::parse(&text));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.shared.state();
        state.circuit.landed(self.answer.is_some(), now);
        state.flights.remove(&self.key);
        if let Some(Answer { score, ttl }) = self.answer {
            self.shared.answers.insert(self.key, (score, now + ttl));
            self.tell.send_replace(Some(score));
        }
    }
}

/// Whether the hook is asked at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Circuit {
    /// It is; so many calls failed since one did not.
    Closed(u32),
    /// It is left alone until then.
    Open(Instant),
    /// One call is under way to see whether it is well again.
    Trying,
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed(0)
    }
}

impl Circuit {
    fn lets_through(&mut self, now: Instant) -> bool {
        match *self {
            Self::Closed(_) => true,
            Self::Open(until) if now >= until => {
                *self = Self::Trying;
                true
            }
            Self::Open(_) | Self::Trying => false,
        }
    }

    fn landed(&mut self, well: bool, now: Instant) {
        let next = match (*self, well) {
            (_, true) => Self::Closed(0),
            (Self::Closed(failures), false) if failures + 1 < FAILURES_MAX => {
                Self::Closed(failures + 1)
            }
            // A call that began before the circuit opened changes nothing.
            (open @ Self::Open(_), false) => open,
            (Self::Closed(_) | Self::Trying, false) => Self::Open(now + LEFT_ALONE),
        };
        match (*self, next) {
            (Self::Closed(_), Self::Open(_)) => {
                tracing::warn!(
                    "the score hook fails again and again: left alone for 30 s at a time"
                );
            }
            (Self::Open(_) | Self::Trying, Self::Closed(_)) => {
                tracing::info!("the score hook answers again");
            }
            _ => {}
        }
        *self = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exactly the shape, or nothing.
    #[test]
    fn an_answer_is_an_exact_shape() {
        #[rustfmt::skip]
        let cases = [
            (r#"{"score":0}"#,                                   Some((0, 60))),
            (r#"{"score":100,"reasons":[],"ttl":600}"#,          Some((100, 600))),
            (r#" {"ttl":0,"reasons":["a","b"],"score":7} "#,     Some((7, 60))),
            (r#"{"score":7,"ttl":86401}"#,                       Some((7, 86_400))),
            (r#"{"score":7,"ttl":18446744073709551615}"#,        Some((7, 86_400))),
            (r#"{"score":101}"#,                                 None),
            (r#"{"score":4294967297}"#,                          None),
            (r#"{"score":18446744073709551617}"#,                None),
            (r#"{"score":-1}"#,                                  None),
            (r#"{"score":-0}"#,                                  None),
            (r#"{"score":7.0}"#,                                 None),
            (r#"{"score":1e1}"#,                                 None),
            (r#"{"score":NaN}"#,                                 None),
            (r#"{"score":"high"}"#,                              None),
            (r#"{"score":"7"}"#,                                 None),
            (r#"{"score":null}"#,                                None),
            (r#"{"score":true}"#,                                None),
            (r#"{"score":[7]}"#,                                 None),
            (r#"{"score":{"value":7}}"#,                         None),
            (r#"{"data":{"score":7}}"#,                          None),
            (r#"{"score":7,"score":8}"#,                         None),
            (r#"{"Score":7}"#,                                   None),
            (r#"{"score":7,"verdict":"allow"}"#,                 None),
            (r#"{"score":7,"reasons":"a"}"#,                     None),
            (r#"{"score":7,"reasons":[1]}"#,                     None),
            (r#"{"score":7,"ttl":-1}"#,                          None),
            (r#"{"score":7,"ttl":"60"}"#,                        None),
            (r#"{"score":7,"ttl":null}"#,                        None),
            (r#"{"score":7}{"score":8}"#,                        None),
            (r#"[{"score":7}]"#,                                 None),
            (r#"{"score":7"#,                                    None),
            ("7",                                                None),
            ("",                                                 None),
        ];
        for (text, expected) in cases {
            let answer = Answer::parse(text);
            let answer = answer.map(|answer| (answer.score, answer.ttl.as_secs()));
            assert_eq!(answer, expected, "{text}");
        }
    }

    #[test]
    fn a_content_type_is_json_or_it_is_not() {
        for (text, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/jsonp", false),
            ("text/html", false),
            ("text/plain; application/json", false),
            ("", false),
        ] {
            assert_eq!(is_json(text), json, "{text}");
        }
    }

    /// A call that was under way when the circuit opened does not keep it open for longer.
    #[test]
    fn a_late_failure_does_not_leave_the_hook_alone_for_longer() {
        let start = Instant::now();
        let mut circuit = Circuit::default();
        for _ in 0..FAILURES_MAX {
            assert!(circuit.lets_through(start));
            circuit.landed(false, start);
        }
        circuit.landed(false, start + Duration::from_secs(1));
        assert!(!circuit.lets_through(start + LEFT_ALONE - Duration::from_millis(1)));
        assert!(circuit.lets_through(start + LEFT_ALONE));
        assert!(!circuit.lets_through(start + LEFT_ALONE));
    }
}
