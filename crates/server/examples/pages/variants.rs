//! Every page in every variant that differs to the eye, with the longest texts that may stand there.

use vestibule_engine::{
    AdminPage, ApprovalView, ApprovalsPage, Badge, ClientHost, ConsentPage, DurationChoice,
    FailurePage, FailureStatus, LeavePage, ReportedPage, ScopeGroups, ScopeRow, SetupPage,
    SignInPage, SignInProblem, SignedInPage, Step, WaitingPage,
};
use vestibule_protocol::{
    redirect_uri::RedirectKind,
    time::Timestamp,
    trust::{CimdMode, DcrMode},
};

const NOW: Timestamp = Timestamp::from_seconds(1_795_500_000);
/// A host that is as long as one may be in a line, and breaks nowhere by itself.
const LONG_HOST: &str =
    "averyveryveryveryverylonglabelwithoutanyhyphen.agents.of.a.customer.hosting-platform.example";

/// Name and page.
pub(crate) fn all() -> Vec<(&'static str, Step)> {
    let consent = [vouched(), doubted(), told()].into_iter().flatten();
    let consent = consent.map(|(name, page)| (name, Step::Consent(Box::new(page))));
    let others = [people(), waiting(), doors(), approvals()];
    consent.chain(others.into_iter().flatten()).collect()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().copied().map(str::to_owned).collect()
}

fn row(scope: &str, description: &str, ticked: bool) -> ScopeRow {
    ScopeRow {
        scope: scope.to_owned(),
        description: description.to_owned(),
        ticked,
    }
}

fn host(name: &str) -> ClientHost {
    ClientHost::Host(name.to_owned())
}

/// A document that nobody vouches for, at low risk.
fn unverified() -> ConsentPage {
    ConsentPage {
        ticket: "ticket".to_owned(),
        csrf: "csrf".to_owned(),
        client_host: host("agent.example"),
        badge: Badge::Unverified,
        reasons: texts(&["It controls the address above. Nobody has checked who that is."]),
        warnings: Vec::new(),
        imitates: None,
        first_seen_today: false,
        confirm: false,
        claims_name: Some("Agent".to_owned()),
        client_uri_host: Some("agent.example".to_owned()),
        redirect_host: "agent.example".to_owned(),
        redirect_kind: RedirectKind::Https,
        loopback_warning: false,
        resource_name: "Notes".to_owned(),
        resource_uri: "https://notes.example/mcp".to_owned(),
        account: "ada".to_owned(),
        scopes: ScopeGroups {
            read: vec![row("mcp:read", "Read your notes", true)],
            write: vec![row("mcp:write", "Change your notes", true)],
            destructive: vec![row("mcp:delete", "Delete notes for ever", false)],
        },
        identity_scopes: vec![
            row("openid", "Know your account here", true),
            row("email", "Know your e-mail address", true),
        ],
        withheld: Vec::new(),
        durations: Vec::new(),
        stays_connected_seconds: Some(604_800),
        access_seconds: 600,
        changed: Vec::new(),
        registered_at: None,
        form_action: "https://agent.example".to_owned(),
    }
}

/// One that registered itself.
fn registered() -> ConsentPage {
    ConsentPage {
        client_host: ClientHost::SelfRegistered,
        reasons: texts(&[
            "It registered itself. Nobody has checked who it is, and its name is its own claim.",
        ]),
        client_uri_host: None,
        registered_at: Some(NOW),
        ..unverified()
    }
}

/// Something speaks against it.
fn raised() -> ConsentPage {
    ConsentPage {
        badge: Badge::Raised,
        warnings: texts(&[
            "Its name looks like that of a known app.",
            "Its answer goes to another site than its own.",
        ]),
        confirm: true,
        claims_name: Some("Сlaude Desktop".to_owned()),
        redirect_host: "collect.elsewhere.example".to_owned(),
        scopes: ScopeGroups {
            read: vec![row("mcp:read", "Read your notes", true)],
            ..ScopeGroups::default()
        },
        withheld: vec![
            row("mcp:write", "Change your notes", false),
            row("mcp:delete", "Delete notes for ever", false),
        ],
        stays_connected_seconds: Some(28_800),
        ..unverified()
    }
}

/// By who vouches for it.
fn vouched() -> Vec<(&'static str, ConsentPage)> {
    vec![
        ("consent-unverified", unverified()),
        ("consent-registered", registered()),
        (
            "consent-first-party",
            ConsentPage {
                client_host: ClientHost::FirstParty,
                badge: Badge::FirstParty,
                reasons: texts(&["An administrator of this hub made it."]),
                identity_scopes: Vec::new(),
                ..unverified()
            },
        ),
        (
            "consent-verified",
            ConsentPage {
                badge: Badge::Verified,
                reasons: texts(&["It proved who runs it."]),
                ..unverified()
            },
        ),
        (
            "consent-known",
            ConsentPage {
                badge: Badge::Known,
                reasons: texts(&["Its identity is in the catalogue of known apps."]),
                stays_connected_seconds: None,
                ..unverified()
            },
        ),
    ]
}

/// By what speaks against it.
fn doubted() -> Vec<(&'static str, ConsentPage)> {
    vec![
        (
            "consent-first-seen",
            ConsentPage {
                first_seen_today: true,
                ..unverified()
            },
        ),
        ("consent-raised", raised()),
        (
            "consent-look-alike",
            ConsentPage {
                imitates: Some("Claude Desktop".to_owned()),
                first_seen_today: true,
                ..raised()
            },
        ),
        (
            "consent-loopback",
            ConsentPage {
                redirect_host: "127.0.0.1:33418".to_owned(),
                redirect_kind: RedirectKind::Loopback,
                loopback_warning: true,
                form_action: "http://127.0.0.1:33418".to_owned(),
                ..registered()
            },
        ),
        (
            "consent-private-use",
            ConsentPage {
                claims_name: None,
                redirect_host: "cursor://callback".to_owned(),
                redirect_kind: RedirectKind::PrivateUse,
                form_action: "cursor:".to_owned(),
                ..registered()
            },
        ),
        (
            "consent-withheld",
            ConsentPage {
                withheld: vec![row("mcp:delete", "Delete notes for ever", false)],
                scopes: ScopeGroups {
                    destructive: Vec::new(),
                    ..unverified().scopes
                },
                ..unverified()
            },
        ),
    ]
}

/// By what else there is to say or to choose.
fn told() -> Vec<(&'static str, ConsentPage)> {
    let choice = |seconds, chosen| DurationChoice { seconds, chosen };
    vec![
        (
            "consent-changed",
            ConsentPage {
                changed: texts(&[
                    "The app changed its details while you were reading.",
                    "It now wants its answer at agent.example instead of old.agent.example.",
                ]),
                ..unverified()
            },
        ),
        (
            "consent-durations",
            ConsentPage {
                durations: vec![
                    choice(3_600, false),
                    choice(86_400, false),
                    choice(604_800, true),
                    choice(2_592_000, false),
                ],
                ..unverified()
            },
        ),
        (
            "consent-everything-long",
            ConsentPage {
                client_host: host(LONG_HOST),
                client_uri_host: Some(LONG_HOST.to_owned()),
                claims_name: Some("Unbreakable".repeat(9)),
                imitates: Some("An app with quite a long name".to_owned()),
                first_seen_today: true,
                redirect_host: format!("{LONG_HOST}:65535"),
                resource_uri: format!("https://{LONG_HOST}/mcp/v1/of/this/tenant"),
                account: "ada.lovelace-of-the-analytical-engine@mail.hub.example".to_owned(),
                changed: texts(&["Nothing was ticked: tick what you allow, or deny."]),
                durations: vec![choice(3_600, true), choice(28_800, false)],
                withheld: vec![row(
                    "https://notes.example/scopes/notes.administration.everything",
                    "Administer every notebook of everybody",
                    false,
                )],
                ..raised()
            },
        ),
    ]
}

fn people() -> Vec<(&'static str, Step)> {
    let sign_in = SignInPage {
        ticket: Some("ticket".to_owned()),
        csrf: "csrf".to_owned(),
        username: "ada".to_owned(),
        client_host: Some("agent.example".to_owned()),
        client_name: Some("Agent".to_owned()),
        problem: None,
        again: None,
        form_action: None,
    };
    let signed_in = |admin| {
        Step::SignedIn(SignedInPage {
            account: "ada".to_owned(),
            csrf: "csrf".to_owned(),
            admin,
        })
    };
    vec![
        ("sign-in", Step::SignIn(sign_in.clone())),
        (
            "sign-in-wrong",
            Step::SignIn(SignInPage {
                problem: Some(SignInProblem::WrongNameOrPassword),
                client_host: None,
                ..sign_in.clone()
            }),
        ),
        (
            "sign-in-again",
            Step::SignIn(SignInPage {
                again: Some(
                    "You are signed in already. This request is unusual, so please prove once \
                     more that it is you.",
                ),
                ..sign_in
            }),
        ),
        ("account", signed_in(false)),
        ("account-of-an-admin", signed_in(true)),
        ("signed-out", Step::SignedOut),
        (
            "setup",
            Step::Setup(SetupPage {
                token: "token".to_owned(),
                csrf: "csrf".to_owned(),
                username: "ada".to_owned(),
                problem: Some("The password is too short: use 10 characters or more.".to_owned()),
            }),
        ),
        (
            "failure",
            Step::Show(FailurePage {
                status: FailureStatus::BadRequest,
                title: "This app cannot connect",
                explanation: "The app wants to be answered at an address that it did not register."
                    .to_owned(),
                hint: Some("Connect it again from the app.".to_owned()),
                reference: "0a1b2-c3d4e".to_owned(),
            }),
        ),
        (
            "leave",
            Step::Leave(LeavePage {
                host: "127.0.0.1:33418".to_owned(),
                to: "http://127.0.0.1:33418/callback?error=invalid_scope".to_owned(),
                explanation: "The app asks for a scope that is not known here.".to_owned(),
                reference: "0a1b2-c3d4e".to_owned(),
            }),
        ),
    ]
}

fn waiting() -> Vec<(&'static str, Step)> {
    let waiting = WaitingPage {
        ticket: "ticket".to_owned(),
        csrf: "csrf".to_owned(),
        client_host: host("agent.example"),
        claims_name: Some("Agent".to_owned()),
        reasons: texts(&["On this hub an administrator approves each new app."]),
        by_itself: true,
        full: false,
        reference: "0a1b2-c3d4e".to_owned(),
        form_action: "https://agent.example".to_owned(),
    };
    let reported = |client_host, to: &str, host: &str| {
        Step::Reported(ReportedPage {
            client_host,
            to: to.to_owned(),
            host: host.to_owned(),
        })
    };
    vec![
        ("waiting", Step::Waiting(waiting.clone())),
        (
            "waiting-by-hand",
            Step::Waiting(WaitingPage {
                by_itself: false,
                client_host: ClientHost::SelfRegistered,
                ..waiting.clone()
            }),
        ),
        (
            "waiting-full",
            Step::Waiting(WaitingPage {
                full: true,
                ..waiting.clone()
            }),
        ),
        (
            "waiting-full-by-hand",
            Step::Waiting(WaitingPage {
                full: true,
                by_itself: false,
                client_host: host(LONG_HOST),
                claims_name: None,
                ..waiting
            }),
        ),
        (
            "reported",
            reported(
                host("agent.example"),
                "https://agent.example/callback?error=access_denied",
                "agent.example",
            ),
        ),
        (
            "reported-registered",
            reported(
                ClientHost::SelfRegistered,
                "http://127.0.0.1:33418/callback?error=access_denied",
                "127.0.0.1:33418",
            ),
        ),
    ]
}

fn doors() -> Vec<(&'static str, Step)> {
    let doors = AdminPage {
        account: "ada".to_owned(),
        csrf: "csrf".to_owned(),
        seq: 7,
        dcr: DcrMode::Open,
        cimd: CimdMode::Open,
        stored_clients: 12,
        waiting: 2,
        more_wait: false,
        warnings: Vec::new(),
        notice: None,
        versions: vec![
            (NOW, "ada".to_owned()),
            (
                Timestamp::from_seconds(1_795_400_000),
                "the command line".to_owned(),
            ),
        ],
    };
    vec![
        ("admin-open", Step::Admin(Box::new(doors.clone()))),
        (
            "admin-closed",
            Step::Admin(Box::new(AdminPage {
                dcr: DcrMode::Off,
                cimd: CimdMode::Off,
                stored_clients: 1,
                waiting: 0,
                warnings: texts(&[
                    "Both doors are closed: no new app can come in.",
                    "The policies could not be read: the strict ones that ship with the hub hold.",
                ]),
                notice: Some("The doors were changed.".to_owned()),
                versions: Vec::new(),
                ..doors.clone()
            })),
        ),
        (
            "admin-half-open",
            Step::Admin(Box::new(AdminPage {
                dcr: DcrMode::Approval,
                cimd: CimdMode::Listed,
                ..doors
            })),
        ),
    ]
}

fn approvals() -> Vec<(&'static str, Step)> {
    let approvals = ApprovalsPage {
        account: "ada".to_owned(),
        csrf: "csrf".to_owned(),
        waiting: Vec::new(),
        before: None,
        older: None,
        notice: None,
    };
    let view = ApprovalView {
        id: "1".to_owned(),
        client_host: host("agent.example"),
        name: Some("Agent".to_owned()),
        client_id: "https://agent.example/client.json".to_owned(),
        reasons: texts(&["On this hub an administrator approves each new app."]),
        since: NOW,
        times: 3,
    };
    vec![
        (
            "approvals-empty",
            Step::Approvals(Box::new(approvals.clone())),
        ),
        (
            "approvals",
            Step::Approvals(Box::new(ApprovalsPage {
                waiting: vec![
                    view.clone(),
                    ApprovalView {
                        id: "2".to_owned(),
                        client_host: ClientHost::SelfRegistered,
                        name: None,
                        client_id: format!("vsr1_{}", "AbCd0123".repeat(40)),
                        times: 1,
                        ..view.clone()
                    },
                ],
                notice: Some("agent.example was approved.".to_owned()),
                ..approvals.clone()
            })),
        ),
        (
            "approvals-more",
            Step::Approvals(Box::new(ApprovalsPage {
                waiting: vec![view],
                before: Some(90),
                older: Some(40),
                ..approvals
            })),
        ),
    ]
}
