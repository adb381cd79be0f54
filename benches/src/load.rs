//! 64 connections that each send the next request when the answer to the last one is there.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    http::{self, Connection, Reply},
};

/// Connections, and so requests in flight.
pub(crate) const CONNECTIONS: usize = 64;

/// What is sent.
pub(crate) enum Work {
    /// The same request again and again, until the time is up.
    Same(Vec<u8>),
    /// Each of these once.
    Each(Vec<Vec<u8>>),
    /// Each token is shown once, and its successor later, until the time is up.
    Refresh {
        /// Whose they are.
        client: String,
        /// One of each family.
        tokens: Vec<String>,
    },
}

/// A measurement to be made.
pub(crate) struct Load {
    host: Rc<str>,
    work: Work,
    expected: u16,
    length: Duration,
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
    /// Refresh tokens that are alive.
    pub(crate) tokens: Vec<String>,
}

/// What one connection has to do.
enum Share {
    Same(Rc<[u8]>),
    Each(Rc<RefCell<Vec<Vec<u8>>>>),
    Refresh {
        client: String,
        tokens: std::collections::VecDeque<String>,
    },
}

impl Share {
    fn next(&mut self, host: &str) -> Option<Rc<[u8]>> {
        match self {
            Self::Same(request) => Some(request.clone()),
            Self::Each(requests) => requests.borrow_mut().pop().map(Into::into),
            Self::Refresh { client, tokens } => tokens
                .pop_front()
                .map(|token| http::refresh(host, client, &token).into()),
        }
    }

    fn learn(&mut self, reply: &Reply) -> Outcome<()> {
        if let Self::Refresh { tokens, .. } = self {
            let successor = reply.member("refresh_token").ok_or("no successor")?;
            tokens.push_back(successor.to_owned());
        }
        Ok(())
    }
}

impl Load {
    /// For this host, every answer with this status.
    pub(crate) fn new(host: &str, work: Work, expected: u16, length: Duration) -> Self {
        Self {
            host: host.into(),
            work,
            expected,
            length,
        }
    }

    /// Run it. Any other answer than the expected one fails the whole run.
    pub(crate) async fn run(self) -> Outcome<Measured> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(&self.host).await?);
        }
        // Work that is used up ends by itself; this is far later.
        let spent = matches!(self.work, Work::Each(_));
        let most = if spent {
            Duration::from_mins(1)
        } else {
            self.length
        };
        let shares = shares(self.work);
        let started = Instant::now();
        let tasks: Vec<_> = connections
            .into_iter()
            .zip(shares)
            .map(|(connection, share)| {
                let host = self.host.clone();
                tokio::task::spawn_local(drive(
                    connection,
                    share,
                    host,
                    self.expected,
                    started + most,
                ))
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

fn shares(work: Work) -> Vec<Share> {
    match work {
        Work::Same(request) => {
            let request: Rc<[u8]> = request.into();
            (0..CONNECTIONS)
                .map(|_| Share::Same(request.clone()))
                .collect()
        }
        Work::Each(requests) => {
            let requests = Rc::new(RefCell::new(requests));
            (0..CONNECTIONS)
                .map(|_| Share::Each(requests.clone()))
                .collect()
        }
        Work::Refresh { client, tokens } => {
            let size = tokens.len().div_ceil(CONNECTIONS).max(1);
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

async fn drive(
    mut connection: Connection,
    mut share: Share,
    host: Rc<str>,
    expected: u16,
    until: Instant,
) -> Outcome<Measured> {
    let mut seen = Measured::default();
    while Instant::now() < until {
        let Some(request) = share.next(&host) else {
            break;
        };
        let sent = Instant::now();
        let reply = connection.send(&request).await?;
        let took = sent.elapsed().as_micros();
        let reply = reply.expect(expected, "an answer")?;
        seen.requests += 1;
        seen.micros.push(u32::try_from(took).unwrap_or(u32::MAX));
        share.learn(&reply)?;
    }
    if let Share::Refresh { tokens, .. } = share {
        seen.tokens = tokens.into();
    }
    Ok(seen)
}
