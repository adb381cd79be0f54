//! The levels that trust, risk and the doors can have: enumerations only, so that store, policy
//! and pages mean the same by a word.

/// An enumeration with one word for each value: what is stored, configured and shown reads back, and
/// nothing else does. Values are ordered as they are written.
#[macro_export]
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As stored, configured and shown.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// From that form.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }
    };
}
pub(crate) use crate::words;

words! {
    /// Who a client is to us. Raised only explicitly.
    Standing {
        /// An admin made it.
        FirstParty = "first_party",
        /// It proved a domain, or an admin vouches for it.
        Verified = "verified",
        /// Its exact identity is in the catalogue.
        Known = "known",
        /// The default.
        Unverified = "unverified",
    }
}
words! {
    /// Standing and assessment together, now.
    Trust {
        /// An admin made it.
        FirstParty = "first_party",
        /// It proved a domain, or an admin vouches for it.
        Verified = "verified",
        /// Its exact identity is in the catalogue.
        Known = "known",
        /// Nobody vouches for it.
        Unverified = "unverified",
        /// It waits for an admin.
        Held = "held",
        /// It may do nothing.
        Blocked = "blocked",
    }
}
words! {
    /// How much speaks against a request, in rising order.
    Risk {
        /// Nothing in particular.
        Low = "low",
        /// Something.
        Raised = "raised",
        /// Too much.
        High = "high",
    }
}
words! {
    /// How a client came to be.
    Door {
        /// An admin made it.
        Admin = "admin",
        /// It registered (RFC 7591).
        Dcr = "dcr",
        /// Its id is the URL of a document.
        Cimd = "cimd",
    }
}
words! {
    /// The DCR door.
    DcrMode {
        /// Closed.
        Off = "off",
        /// An admin approves each software.
        Approval = "approval",
        /// An initial access token is needed.
        Token = "token",
        /// Anybody.
        Open = "open",
    }
}
words! {
    /// The CIMD door.
    CimdMode {
        /// Closed.
        Off = "off",
        /// Exact ids on a list.
        Listed = "listed",
        /// Anybody.
        Open = "open",
    }
}
words! {
    /// Where a redirect leads, seen from the client's own host.
    RedirectShape {
        /// `https` on the client's own site.
        HttpsSameSite = "https_same_site",
        /// `https` elsewhere.
        HttpsOtherSite = "https_other_site",
        /// The person's own machine.
        Loopback = "loopback",
        /// A scheme that an app claimed.
        PrivateUse = "private_use",
    }
}
words! {
    /// What a policy that fires does to a request. Outcomes only restrict, and combine per axis by
    /// maximum; `allow` is the absence of outcomes.
    Outcome {
        /// Nobody vouches for it, whatever its standing: asked each time, marked on the page.
        Unverified = "unverified",
        /// A warning with its reasons, and a second confirmation.
        Warn = "warn",
        /// Scopes of access class `read` only.
        ReadOnly = "read_only",
        /// Short tokens and a short connection.
        ShortSession = "short_session",
        /// The person signs in again first.
        StepUp = "step_up",
        /// Nothing until an admin approves.
        Hold = "hold",
        /// Nothing, with a neutral answer.
        Block = "block",
    }
}
words! {
    /// What a policy decides about (the actions of the Cedar schema).
    Action {
        /// A client registers (RFC 7591).
        Register = "register",
        /// A client by document is seen for the first time.
        Appear = "appear",
        /// Which outcomes a client and its request deserve.
        Flag = "flag",
        /// A person is about to be asked.
        Authorize = "authorize",
        /// A scope goes into a grant, or into a token redeemed from it.
        Grant = "grant",
        /// A scope goes into a refreshed token.
        Refresh = "refresh",
    }
}
words! {
    /// A signal that can be missing; policies see the names in `context.missing`.
    Signal {
        /// The source's network, by an ASN file.
        Asn = "asn",
        /// The source's country, by a country file.
        Country = "country",
        /// What the hub remembers of the client and its host.
        History = "history",
        /// Lists of addresses with a reputation.
        Reputation = "reputation",
        /// The third-party risk score.
        Score = "score",
        /// `User-Agent`.
        UserAgent = "user_agent",
    }
}
words! {
    /// What a `User-Agent` says it is.
    UserAgentKind {
        /// A browser.
        Browser = "browser",
        /// An agent or SDK that names itself.
        Program = "program",
        /// A bare HTTP library or command-line tool.
        Script = "script",
        /// Nothing was sent.
        Missing = "missing",
    }
}
words! {
    /// A shipped set of policies with its power table.
    Preset {
        /// Warn where others cut.
        Open = "open",
        /// The default: unknown agents work on day one, and risk costs power.
        Balanced = "balanced",
        /// Unverified clients read, newcomers wait.
        Strict = "strict",
    }
}
