//! Which header a line is: long and compact names, in any letter case (RFC 3261 §7.3.1, §20).

macro_rules! header_names {
    ($($(#[$doc:meta])* $id:ident = $long:literal, $($lower:literal)|+;)+) => {
        /// A header this program may ask for; all others are [`HeaderId::Other`] and pass as written.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum HeaderId {
            $($(#[$doc])* $id,)+
            /// A header that nobody here asks for by identity.
            Other,
        }

        impl HeaderId {
            /// Every header with an identity.
            pub const ALL: &'static [Self] = &[$(Self::$id),+];

            /// The long name, in the letter case of its defining document; empty for `Other`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$id => $long,)+
                    Self::Other => "",
                }
            }

            /// Finds the identity of a name as written, long or compact.
            #[must_use]
            pub fn of(name: &[u8]) -> Self {
                let mut lower = [0_u8; LONGEST];
                let Some(lower) = lower.get_mut(..name.len()) else { return Self::Other };
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                match &*lower {
                    $($($lower)|+ => Self::$id,)+
                    _ => Self::Other,
                }
            }
        }
    };
}

const LONGEST: usize = 25;

header_names! {
    Via = "Via", b"via" | b"v";
    From = "From", b"from" | b"f";
    To = "To", b"to" | b"t";
    CallId = "Call-ID", b"call-id" | b"i";
    CSeq = "CSeq", b"cseq";
    MaxForwards = "Max-Forwards", b"max-forwards";
    MaxBreadth = "Max-Breadth", b"max-breadth";
    Route = "Route", b"route";
    RecordRoute = "Record-Route", b"record-route";
    Path = "Path", b"path";
    Contact = "Contact", b"contact" | b"m";
    ContentLength = "Content-Length", b"content-length" | b"l";
    ContentType = "Content-Type", b"content-type" | b"c";
    ContentEncoding = "Content-Encoding", b"content-encoding" | b"e";
    ContentLanguage = "Content-Language", b"content-language";
    ContentDisposition = "Content-Disposition", b"content-disposition";
    ContentTransferEncoding = "Content-Transfer-Encoding", b"content-transfer-encoding";
    MimeVersion = "MIME-Version", b"mime-version";
    Expires = "Expires", b"expires";
    MinExpires = "Min-Expires", b"min-expires";
    RetryAfter = "Retry-After", b"retry-after";
    Subject = "Subject", b"subject" | b"s";
    Date = "Date", b"date";
    Timestamp = "Timestamp", b"timestamp";
    Priority = "Priority", b"priority";
    InReplyTo = "In-Reply-To", b"in-reply-to";
    ReplyTo = "Reply-To", b"reply-to";
    Organization = "Organization", b"organization";
    UserAgent = "User-Agent", b"user-agent";
    Server = "Server", b"server";
    Warning = "Warning", b"warning";
    Reason = "Reason", b"reason";
    Require = "Require", b"require";
    ProxyRequire = "Proxy-Require", b"proxy-require";
    Supported = "Supported", b"supported" | b"k";
    Unsupported = "Unsupported", b"unsupported";
    Allow = "Allow", b"allow";
    AllowEvents = "Allow-Events", b"allow-events" | b"u";
    Event = "Event", b"event" | b"o";
    SubscriptionState = "Subscription-State", b"subscription-state";
    Accept = "Accept", b"accept";
    AcceptEncoding = "Accept-Encoding", b"accept-encoding";
    AcceptLanguage = "Accept-Language", b"accept-language";
    AcceptContact = "Accept-Contact", b"accept-contact" | b"a";
    Authorization = "Authorization", b"authorization";
    ProxyAuthorization = "Proxy-Authorization", b"proxy-authorization";
    WwwAuthenticate = "WWW-Authenticate", b"www-authenticate";
    ProxyAuthenticate = "Proxy-Authenticate", b"proxy-authenticate";
    AuthenticationInfo = "Authentication-Info", b"authentication-info";
    ReferTo = "Refer-To", b"refer-to" | b"r";
    ReferredBy = "Referred-By", b"referred-by" | b"b";
    Replaces = "Replaces", b"replaces";
    SessionExpires = "Session-Expires", b"session-expires" | b"x";
    MinSe = "Min-SE", b"min-se";
    RSeq = "RSeq", b"rseq";
    RAck = "RAck", b"rack";
    SipEtag = "SIP-ETag", b"sip-etag";
    SipIfMatch = "SIP-If-Match", b"sip-if-match";
    Privacy = "Privacy", b"privacy";
    AssertedIdentity = "P-Asserted-Identity", b"p-asserted-identity";
    PreferredIdentity = "P-Preferred-Identity", b"p-preferred-identity";
    Identity = "Identity", b"identity" | b"y";
    CallInfo = "Call-Info", b"call-info";
    ErrorInfo = "Error-Info", b"error-info";
    AlertInfo = "Alert-Info", b"alert-info";
}
