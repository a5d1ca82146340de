//! Redis Sentinel: who is the primary is asked, each time a connection is made.
//!
//! All sentinels are asked at once. As soon as more than half have answered, the newest answer
//! counts (by the epoch of its configuration): right after a failover some know it, some do not.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisError, RedisResult, pipe,
};
use tokio::time::timeout;

/// A sentinel that has not answered by then is left out.
const ANSWER: Duration = Duration::from_millis(100);

/// The port of a sentinel that is named without.
const PORT: u16 = 26_379;

pub(super) struct Sentinels {
    /// What the sentinels call the primary and its replicas.
    name: String,
    sentinels: Vec<ConnectionInfo>,
    /// How to speak to the primary, wherever it is.
    server: ConnectionInfo,
}

/// A sentinel's word on who is the primary.
struct Named {
    epoch: u64,
    host: String,
    port: u16,
}

impl Sentinels {
    /// Those of `redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/NAME/DB` (with `rediss` in
    /// front: over TLS); none if it is another kind of URL.
    ///
    /// # Errors
    /// If it is one that cannot be used.
    pub(super) fn of(url: &str) -> RedisResult<Option<Self>> {
        let Some((scheme, rest)) = url.split_once("+sentinel://") else { return Ok(None) };
        let unusable = || {
            let expected = "expected redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB";
            RedisError::from((ErrorKind::InvalidClientConfig, expected))
        };
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (format!("{credentials}@"), rest),
            None => (String::new(), rest),
        };
        let (hosts, path) = rest.split_once('/').ok_or_else(unusable)?;
        let (name, db) = path.split_once('/').unwrap_or((path, "0"));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !["redis", "rediss"].contains(&scheme) || name.is_empty() || !is_number(db) {
            return Err(unusable());
        }
        let place = |host: &str| match host.rsplit_once(':') {
            Some((_, port)) if is_number(port) => host.to_owned(),
            _ => format!("{host}:{PORT}"),
        };
        let info = |host: &str| {
            let host = Some(host).filter(|host| !host.is_empty()).ok_or_else(unusable)?;
            format!("{scheme}://{credentials}{}/{db}", place(host)).into_connection_info()
        };
        let infos: Vec<_> = hosts.split(',').map(info).collect::<RedisResult<_>>()?;
        let server = infos.first().cloned().ok_or_else(unusable)?;
        let sentinels = infos.into_iter().map(|info| {
            let settings = info.redis_settings().clone().set_db(0);
            info.set_redis_settings(settings)
        });
        Ok(Some(Self { name: name.to_owned(), sentinels: sentinels.collect(), server }))
    }

    /// The server that the sentinels name; whether it is the primary it says itself.
    pub(super) async fn primary(&self) -> RedisResult<Client> {
        let mut asked: FuturesUnordered<_> =
            self.sentinels.iter().map(|sentinel| self.ask(sentinel)).collect();
        let (mut newest, mut answers, mut problem) = (None::<Named>, 0, None);
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(named) => {
                    answers += 1;
                    if newest.as_ref().is_none_or(|known| named.epoch > known.epoch) {
                        newest = Some(named);
                    }
                }
                // What one of them says explains more than that another one is silent.
                Err(error) if problem.as_ref().is_none_or(RedisError::is_io_error) => {
                    problem = Some(error);
                }
                Err(_) => {}
            }
            if answers * 2 > self.sentinels.len() {
                break;
            }
        }
        let Some(Named { host, port, .. }) = newest else {
            return Err(problem.unwrap_or_else(|| silent().into()));
        };
        let address = match self.server.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Client::open(self.server.clone().set_addr(address))
    }

    /// Without the password of the server, unless the sentinel wants one.
    async fn ask(&self, sentinel: &ConnectionInfo) -> RedisResult<Named> {
        let asked = async {
            let plain = sentinel.clone().set_redis_settings(redis::RedisConnectionInfo::default());
            match self.ask_by(plain).await {
                Err(error) if error.code() == Some("NOAUTH") => self.ask_by(sentinel.clone()).await,
                answer => answer,
            }
        };
        timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(silent().into()))
    }

    async fn ask_by(&self, sentinel: ConnectionInfo) -> RedisResult<Named> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER));
        let client = Client::open(sentinel)?;
        let mut connection: MultiplexedConnection =
            client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut pipe = pipe();
        // The first has the new primary while the others still follow it.
        pipe.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        pipe.cmd("SENTINEL").arg("MASTER").arg(&self.name);
        let ((host, port), about): ((String, u16), HashMap<String, String>) =
            pipe.query_async(&mut connection).await?;
        let epoch = about.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        Ok(Named { epoch, host, port })
    }
}

fn silent() -> (ErrorKind, &'static str) {
    (ErrorKind::Io, "no sentinel answers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> RedisResult<Option<Sentinels>> {
        Sentinels::of(url)
    }

    #[test]
    fn the_url_names_sentinels_primary_and_database() {
        let url = "redis+sentinel://us:pa%20ss@a.example:1,b.example,[::1]:3/main/7";
        let found = of(url).expect("usable").expect("of sentinels");
        assert_eq!(found.name, "main");
        let addresses: Vec<_> = found.sentinels.iter().map(|it| it.addr().to_string()).collect();
        assert_eq!(addresses, ["a.example:1", "b.example:26379", "::1:3"]);
        let settings = found.server.redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("us"), Some("pa ss")));
        assert_eq!((settings.db(), found.sentinels[0].redis_settings().db()), (7, 0));

        let found = of("rediss+sentinel://a.example:1/main").expect("usable").expect("sentinels");
        assert!(matches!(found.server.addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
        assert_eq!(found.server.redis_settings().db(), 0);
    }

    #[test]
    fn other_urls_are_not_taken_for_one() {
        assert!(of("redis://a.example:1/0").expect("none").is_none());
        for url in [
            "redis+sentinel://a.example:1",
            "redis+sentinel://a.example:1/",
            "redis+sentinel:///main/0",
            "redis+sentinel://a.example:1,/main/0",
            "redis+sentinel://a.example:1/main/x",
            "http+sentinel://a.example:1/main/0",
        ] {
            assert!(of(url).is_err(), "{url}");
        }
    }
}
