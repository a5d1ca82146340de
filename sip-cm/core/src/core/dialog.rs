//! Where requests of dialogs go: along the route that the dialog's first request recorded, and when
//! that is used up, to their target.
//!
//! ```text
//! Route left ─────────────────────────────▶ its first value
//! none left ─┬─ target is an address ─────▶ it
//!            └─ a name ─┬─ from our user ─▶ its domain's next hop, as any other request
//!                       └─ to our user ───▶ where DNS says
//! ```

use std::time::Instant;

use openfed_proto::domain::Domain;
use openfed_proto::route::Use;

use super::Core;
use super::forward::Upstream;
use crate::headers::{HeaderId, NameAddr};
use crate::proxy::{self, NextHop};
use crate::rule::Rule;
use crate::status::Refusal;
use crate::transaction::ServerId;
use crate::uri::{Host, Scheme, Uri};
use crate::wire::Message;

impl Core {
    pub(super) fn follow_dialog(&mut self, id: ServerId, now: Instant) -> Result<(), Refusal> {
        let Some(request) = self.requests.get(&id) else { return Ok(()) };
        let (base, next_hops) = self.along_dialog(&request.message.clone())?;
        let upstream = Upstream { request: Some(id), attempt: None };
        self.start_forward(upstream, base, next_hops, now)
    }

    /// The request as it leaves, but for Record-Route and Via, and where to: never nowhere.
    pub(super) fn along_dialog(
        &mut self,
        request: &Message,
    ) -> Result<(Message, Vec<NextHop>), Refusal> {
        let mut base = proxy::unrouted(request, &self.config)?;
        let next = proxy::next_hop(&mut base)?;
        let routed = base.header(HeaderId::Route).is_some();
        if !routed && self.ends_here(&next) {
            return Err(Refusal::NoDialog);
        }
        let next_hops = match self.named_target(&base).filter(|_| !routed) {
            Some(target) => self.hops_to_name(&base, target)?,
            None => vec![next],
        };
        Ok((base, next_hops))
    }

    /// Target and foreign side of what a user of ours sends to a name. That may be a GRUU
    /// (RFC 5627 §3.4), which DNS need not know; and what DNS knows may lie past the next hop that
    /// the operator trusts.
    fn named_target(&self, base: &Message) -> Option<(Domain, Domain)> {
        let of = |uri: &Uri| Domain::parse(uri.host()?.name()?).ok();
        let side = |address: Result<NameAddr, _>| of(address.ok()?.uri());
        let is_ours = |domain: &Domain| self.config.is_local(domain);
        side(base.from()).filter(is_ours)?;
        let foreign = side(base.to()).filter(|domain| !is_ours(domain))?;
        Some((of(&base.uri()?.ok()?)?, foreign))
    }

    /// By the routes of the target's domain if it has any of its own, else by those of the dialog.
    fn hops_to_name(
        &mut self,
        base: &Message,
        (target, foreign): (Domain, Domain),
    ) -> Result<Vec<NextHop>, Refusal> {
        if self.policy.is_blocked(&target) {
            return Err(Refusal::Forbidden(Rule::BlockedDomain));
        }
        let routes = &self.policy.routes;
        let has_own = routes.configures(&target) || routes.blocks(&target);
        let domain = if has_own { target } else { foreign };
        let uri = base.uri().and_then(Result::ok);
        let user = uri.as_ref().and_then(|uri| uri.user_decoded().ok().flatten());
        let secure = uri.is_some_and(|uri| uri.scheme() == Scheme::Sips);
        self.next_hops_for(&domain, user.as_deref(), Use::Known, secure)
    }

    /// Whether a dialog's route leads to us or to a local user: no dialog of theirs is on SIP.
    fn ends_here(&self, next: &NextHop) -> bool {
        let host = Host::parse(&next.host.as_str().into());
        let at_us = host.is_ok_and(|host| self.config.is_us(&host, next.port));
        at_us || Domain::parse(&next.host).is_ok_and(|domain| self.config.is_local(&domain))
    }
}
