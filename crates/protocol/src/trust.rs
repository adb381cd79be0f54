//! The levels that trust, risk and the doors can have: enumerations only, so that store, policy
//! and pages mean the same by a word.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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
pub(crate) use words;

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
    /// How much speaks against a request.
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
