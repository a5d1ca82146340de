//! API tokens: `openfed_ID_SECRET`, of which the store has a digest.

use openfed_node::store::Token;

use super::permission::{Role, Scope};
use super::secret::{digest, random_hex};
use super::{Access, Actor};
use crate::now;

/// When a token was last used is kept to the hour.
const NOTED: u64 = 3_600;

/// What the token of the token file is called.
pub(crate) const LOCAL: &str = "local";

/// Makes a token; its secret is only known now.
pub(crate) fn mint(name: String, scopes: &[Scope]) -> (Token, String) {
    let id = random_hex::<4>();
    let secret = format!("openfed_{id}_{}", random_hex::<24>());
    let scopes = scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let created = now().unix_s();
    let token =
        Token { id, name, digest: digest(&secret), scopes, created, last_used: 0, version: 1 };
    (token, secret)
}

impl Access {
    /// Who shows this token.
    pub(super) fn bearer(&self, secret: &str) -> Option<Actor> {
        let digest = digest(secret);
        if self.0.own.as_ref() == Some(&digest) {
            let (name, scopes) = (format!("token:{LOCAL}"), Some(vec![Scope::Admin]));
            return Some(Actor { name, role: Role::Administrator, scopes });
        }
        let found = |token: &&Token| token.digest == digest;
        let token = self.0.catalogue.read(|listing| listing.tokens.iter().find(found).cloned())?;
        let scopes: Vec<_> = token.scopes.iter().filter_map(|name| Scope::parse(name)).collect();
        let admin = scopes.contains(&Scope::Admin);
        let role = if admin { Role::Administrator } else { Role::Viewer };
        let name = format!("token:{}", token.name);
        self.note_use(token);
        Some(Actor { name, role, scopes: Some(scopes) })
    }

    /// Whether the token of this actor has not been removed.
    pub(super) fn has_token(&self, actor: &Actor) -> bool {
        let name = actor.name.strip_prefix("token:").unwrap_or_default();
        let listed = |tokens: &[Token]| tokens.iter().any(|token| token.name == name);
        name == LOCAL || self.0.catalogue.read(|listing| listed(&listing.tokens))
    }

    fn note_use(&self, token: Token) {
        let seconds = now().unix_s() / NOTED * NOTED;
        if token.last_used >= seconds {
            return;
        }
        let store = self.0.store.clone();
        tokio::spawn(async move {
            let token = Token { last_used: seconds, version: token.version + 1, ..token };
            // Another router, or another request, may have noted it already.
            if let Err(error) = store.put(&token).await {
                tracing::debug!(%error, "the use of a token is not noted");
            }
        });
    }
}
