//! The answer tables between conditions and SIP status codes (RFC 7247 §7, S-027…S-042).

use super::Condition;

impl Condition {
    /// The SIP status that says the same (RFC 7247 §7.1). `full_jid`: the failed recipient was a
    /// full JID, one device; for a bare JID the 6xx code speaks for all devices (S-028, S-029).
    ///
    /// Our choices where the RFC leaves one: `not-authorized` and `registration-required` are 403,
    /// as 401 and 407 need a challenge that we have no realm for (S-033); `service-unavailable` is
    /// never 503, which would condemn the whole server (S-032); `remote-server-not-found` is 404
    /// (S-031); `unexpected-request` is 491; `item-not-found` is 404 for a bare JID, too, where
    /// S-029 recommends 604: we know of our own server only, not of all that a caller may try. With 301 and 302 the caller puts
    /// [`Condition::new_address`] into Contact.
    pub fn to_sip_status(&self, full_jid: bool) -> u16 {
        let by_jid = |full, bare| if full_jid { full } else { bare };
        match self {
            Self::BadRequest | Self::Conflict | Self::JidMalformed => 400,
            Self::SubscriptionRequired | Self::UndefinedCondition => 400,
            Self::FeatureNotImplemented => by_jid(405, 501),
            Self::Forbidden => by_jid(403, 603),
            Self::Gone(Some(_)) => 301,
            Self::Gone(None) => 410,
            Self::InternalServerError | Self::ResourceConstraint => 500,
            Self::ItemNotFound => 404,
            Self::NotAcceptable => by_jid(406, 606),
            Self::NotAllowed | Self::PolicyViolation => 403,
            Self::NotAuthorized | Self::RegistrationRequired => 403,
            Self::RecipientUnavailable => by_jid(480, 600),
            Self::Redirect(_) => 302,
            Self::RemoteServerNotFound => 404,
            Self::RemoteServerTimeout => 408,
            Self::ServiceUnavailable => by_jid(405, 403),
            Self::UnexpectedRequest => 491,
        }
    }

    /// The condition that a final SIP failure means (RFC 7247 §7.2). A code that the table does
    /// not list means what its class means (S-034). 1xx and 2xx are no failures and have no
    /// condition (S-042): `undefined-condition`, as for a number that is no SIP status.
    pub fn from_sip_status(status: u16) -> Self {
        match status {
            301 | 410 => Self::Gone(None),
            380 => Self::NotAcceptable,
            300..=399 => Self::Redirect(None),
            401 => Self::NotAuthorized,
            403 => Self::Forbidden,
            404 | 481 | 484 | 485 | 604 => Self::ItemNotFound,
            405 | 420 | 439 | 501 => Self::FeatureNotImplemented,
            406 | 415 | 416 | 421 | 482 | 483 | 488 | 505 | 606 => Self::NotAcceptable,
            407 => Self::RegistrationRequired,
            408 | 504 => Self::RemoteServerTimeout,
            413 | 414 | 440 | 489 | 513 => Self::PolicyViolation,
            423 => Self::ResourceConstraint,
            430 | 480 | 486 | 487 => Self::RecipientUnavailable,
            491 => Self::UnexpectedRequest,
            400..=499 => Self::BadRequest,
            502 => Self::RemoteServerNotFound,
            500..=599 => Self::InternalServerError,
            600..=699 => Self::RecipientUnavailable,
            _ => Self::UndefinedCondition,
        }
    }

    /// The same for a response with its Contact: 301 and the redirections carry it as the new
    /// address, 410 never does (S-040).
    pub fn from_sip_response(status: u16, contact: Option<&str>) -> Self {
        let contact = contact.map(str::to_owned);
        match Self::from_sip_status(status) {
            Self::Gone(_) if status == 301 => Self::Gone(contact),
            Self::Redirect(_) => Self::Redirect(contact),
            condition => condition,
        }
    }
}

/// The default reason phrase of a SIP status (RFC 3261 §21 and the RFCs named beside). A status
/// that is not listed reads as the x00 of its class (RFC 3261 §8.1.3.2).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        180..=199 | 300..=399 => provisional_or_redirection(status),
        400..=499 => request_failure(status),
        100..=179 => "Trying",
        202 => "Accepted",        // RFC 6665 §8.3.1
        204 => "No Notification", // RFC 5839 §7.1
        200..=299 => "OK",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        580 => "Precondition Failure", // RFC 3312 §8
        500..=599 => "Server Internal Error",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        600..=699 => "Busy Everywhere",
        _ => "Unknown",
    }
}

fn provisional_or_redirection(status: u16) -> &'static str {
    match status {
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        300..=399 => "Multiple Choices",
        _ => "Trying",
    }
}

fn request_failure(status: u16) -> &'static str {
    match status {
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed", // RFC 3903 §11.2.1
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small", // RFC 4028 §6
        423 => "Interval Too Brief",
        430 => "Flow Failed",                      // RFC 5626 §11.5
        439 => "First Hop Lacks Outbound Support", // RFC 5626 §11.6
        440 => "Max-Breadth Exceeded",             // RFC 5393 §5.4
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event", // RFC 6665 §8.3.2
        491 => "Request Pending",
        493 => "Undecipherable",
        _ => "Bad Request",
    }
}
