//! Connections that each send the next request when the answer to the last one is there.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    http::{self, Connection, Reply},
};

/// Connections, and so requests in flight.
pub(crate) const CONNECTIONS: usize = 64;

/// In a request of [`Work::Numbered`], where its number goes.
pub(crate) const NUMBER: &str = "00000000";

/// What is sent.
pub(crate) enum Work {
    /// The same request again and again, until the time is up.
    Same(Vec<u8>),
    /// Each connection has one of these, and sends it again and again.
    Own(Vec<Vec<u8>>),
    /// The same, each with a number of its own instead of [`NUMBER`].
    Numbered {
        /// The request.
        request: Vec<u8>,
        /// The last number that was used, also by earlier measurements.
        last: Rc<Cell<u32>>,
    },
    /// Each of these once. Refresh tokens in the answers are kept.
    Each(Vec<Vec<u8>>),
    /// Each token is shown once, and its successor later, until the time is up.
    Refresh {
        /// Whose they are.
        client: String,
        /// One of each family.
        tokens: Vec<String>,
    },
}

/// When it ends, if the work is not used up before.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// After this time, on [`CONNECTIONS`] connections.
    Time(Duration),
    /// After so many requests, on one connection: the same course each time.
    Count(u32),
}

/// A measurement to be made.
pub(crate) struct Load {
    /// `127.0.0.1:PORT`.
    pub(crate) host: Rc<str>,
    /// What is sent.
    pub(crate) work: Work,
    /// Status of every answer.
    pub(crate) expected: u16,
    /// What the status line and headers of every answer contain.
    pub(crate) mark: &'static str,
    /// When it ends.
    pub(crate) until: Until,
}

/// What was seen.
#[derive(Default)]
pub(crate) struct Measured {
    /// Answers.
    pub(crate) requests: u32,
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
    /// Time from each request to its answer.
    pub(crate) micros: Vec<u32>,
    /// Refresh tokens that are alive afterwards.
    pub(crate) tokens: Vec<String>,
}

/// What one connection has to do.
enum Share {
    Same(Rc<[u8]>),
    Numbered {
        request: Vec<u8>,
        places: Rc<[usize]>,
        last: Rc<Cell<u32>>,
    },
    Each {
        requests: Rc<RefCell<Vec<Vec<u8>>>>,
        tokens: Vec<String>,
    },
    Refresh {
        client: String,
        tokens: VecDeque<String>,
    },
}

impl Share {
    fn next(&mut self, host: &str) -> Option<Rc<[u8]>> {
        match self {
            Self::Same(request) => Some(request.clone()),
            Self::Numbered {
                request,
                places,
                last,
            } => {
                last.set(last.get() + 1);
                let number = format!("{:0width$}", last.get(), width = NUMBER.len());
                for place in places.iter() {
                    if let Some(digits) = request.get_mut(*place..*place + NUMBER.len()) {
                        digits.copy_from_slice(number.as_bytes());
                    }
                }
                Some(request.as_slice().into())
            }
            Self::Each { requests, .. } => requests.borrow_mut().pop().map(Into::into),
            Self::Refresh { client, tokens } => tokens
                .pop_front()
                .map(|token| http::refresh(host, client, &token).into()),
        }
    }

    fn learn(&mut self, reply: &Reply) -> Outcome<()> {
        let token = || reply.member("refresh_token").map(str::to_owned);
        match self {
            Self::Same(_) | Self::Numbered { .. } => {}
            Self::Each { tokens, .. } => tokens.extend(token()),
            Self::Refresh { tokens, .. } => tokens.push_back(token().ok_or("no successor")?),
        }
        Ok(())
    }

    /// Refresh tokens that are alive.
    fn tokens(self) -> Vec<String> {
        match self {
            Self::Same(_) | Self::Numbered { .. } => Vec::new(),
            Self::Each { tokens, .. } => tokens,
            Self::Refresh { tokens, .. } => tokens.into(),
        }
    }
}

impl Load {
    /// Run it. Any other answer than the expected one fails the whole run.
    pub(crate) async fn run(self) -> Outcome<Measured> {
        let (count, most, each) = match self.until {
            Until::Time(length) => (CONNECTIONS, length, u32::MAX),
            // It is over before.
            Until::Count(requests) => (1, Duration::from_mins(5), requests),
        };
        // Work that is used up ends by itself; this is far later.
        let most = match self.work {
            Work::Each(_) => most.max(Duration::from_mins(1)),
            _ => most,
        };
        let mut connections = Vec::new();
        for _ in 0..count {
            connections.push(Connection::open(&self.host).await?);
        }
        let shares = shares(self.work, count);
        let started = Instant::now();
        let tasks: Vec<_> = connections
            .into_iter()
            .zip(shares)
            .map(|(connection, share)| {
                let course = Course {
                    host: self.host.clone(),
                    expected: self.expected,
                    mark: self.mark,
                    until: started + most,
                    requests: each,
                };
                tokio::task::spawn_local(course.drive(connection, share))
            })
            .collect();
        let mut all = Measured::default();
        for task in tasks {
            let part = tokio::time::timeout(most + Duration::from_secs(10), task)
                .await
                .map_err(|_| "no answer within ten seconds")?
                .map_err(|failure| failure.to_string())??;
            all.requests += part.requests;
            all.micros.extend(part.micros);
            all.tokens.extend(part.tokens);
        }
        all.seconds = started.elapsed().as_secs_f64();
        Ok(all)
    }
}

fn shares(work: Work, count: usize) -> Vec<Share> {
    match work {
        Work::Same(request) => {
            let request: Rc<[u8]> = request.into();
            (0..count).map(|_| Share::Same(request.clone())).collect()
        }
        Work::Own(requests) => {
            let requests: Vec<Rc<[u8]>> = requests.into_iter().map(Into::into).collect();
            let each = requests.into_iter().cycle().take(count);
            each.map(Share::Same).collect()
        }
        Work::Numbered { request, last } => {
            let places: Rc<[usize]> = places(&request).into();
            (0..count)
                .map(|_| Share::Numbered {
                    request: request.clone(),
                    places: places.clone(),
                    last: last.clone(),
                })
                .collect()
        }
        Work::Each(requests) => {
            let requests = Rc::new(RefCell::new(requests));
            (0..count)
                .map(|_| Share::Each {
                    requests: requests.clone(),
                    tokens: Vec::new(),
                })
                .collect()
        }
        Work::Refresh { client, tokens } => {
            let size = tokens.len().div_ceil(count).max(1);
            tokens
                .chunks(size)
                .map(|part| Share::Refresh {
                    client: client.clone(),
                    tokens: part.iter().cloned().collect(),
                })
                .collect()
        }
    }
}

/// Where the numbers of a request go.
fn places(request: &[u8]) -> Vec<usize> {
    let windows = request.windows(NUMBER.len()).enumerate();
    let found = windows.filter(|(_, window)| *window == NUMBER.as_bytes());
    found.map(|(place, _)| place).collect()
}

/// How the requests of one connection go.
struct Course {
    host: Rc<str>,
    expected: u16,
    mark: &'static str,
    until: Instant,
    requests: u32,
}

impl Course {
    async fn drive(self, mut connection: Connection, mut share: Share) -> Outcome<Measured> {
        let mut seen = Measured::default();
        while seen.requests < self.requests && Instant::now() < self.until {
            let Some(request) = share.next(&self.host) else {
                break;
            };
            let sent = Instant::now();
            let reply = connection.send(&request).await?;
            let took = sent.elapsed().as_micros();
            let reply = reply.expect(self.expected, "an answer")?;
            if !reply.head.contains(self.mark) {
                return Err(format!("an answer without {}: {}", self.mark, reply.head));
            }
            seen.requests += 1;
            seen.micros.push(u32::try_from(took).unwrap_or(u32::MAX));
            share.learn(&reply)?;
        }
        seen.tokens = share.tokens();
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_a_number_of_its_own() {
        let work = Work::Numbered {
            request: format!("name={NUMBER}&host=a{NUMBER}").into_bytes(),
            last: Rc::new(Cell::new(41)),
        };
        let mut shares = shares(work, 2);
        let mut sent = shares.iter_mut().map(|share| share.next("").unwrap());
        assert_eq!(&*sent.next().unwrap(), b"name=00000042&host=a00000042");
        assert_eq!(&*sent.next().unwrap(), b"name=00000043&host=a00000043");
        let first = shares.first_mut().unwrap().next("").unwrap();
        assert_eq!(&*first, b"name=00000044&host=a00000044");
    }
}
