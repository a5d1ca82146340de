//! The connection to the server that takes changes: the one at the operator's address, or the one
//! that sentinels name just now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult,
    ServerErrorKind, Value,
};

use super::sentinels::Sentinels;

/// Making a connection takes no longer. With its default settings, the library would wait 9 s for a
/// dead server.
const CONNECT: Duration = Duration::from_millis(150);

/// An answer on the shared connection takes no longer, or the connection counts as dead. A little
/// less than what a call may take, so that it is this that is noticed.
const ANSWER: Duration = Duration::from_millis(220);

/// A connection that is shared, or is being made for all who wait for it.
type Connecting = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

/// Commands of everybody go over one connection, which is made when it is needed, and anew after it
/// has failed.
#[derive(Clone)]
pub(super) struct Server {
    place: Arc<Place>,
    shared: Arc<Mutex<Option<Connecting>>>,
}

enum Place {
    Address(Client),
    Sentinels(Sentinels),
}

impl Server {
    /// # Errors
    /// If the URL cannot be used.
    pub(super) fn new(url: &str) -> RedisResult<Self> {
        let place = match Sentinels::of(url)? {
            Some(sentinels) => Place::Sentinels(sentinels),
            None => Place::Address(Client::open(url)?),
        };
        Ok(Self { place: Arc::new(place), shared: Arc::default() })
    }

    /// A connection of one's own, on which an answer may take as long as it likes.
    pub(super) async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        self.place.connect(None).await
    }

    /// The next command makes a connection of its own; answers under way still come.
    pub(super) fn renew(&self) {
        self.shared().take();
    }

    fn connecting(&self) -> Connecting {
        let place = self.place.clone();
        let connect = || async move { place.connect(Some(ANSWER)).await }.boxed().shared();
        self.shared().get_or_insert_with(connect).clone()
    }

    /// The next command takes another connection, if this one cannot be used any more.
    fn note(&self, used: &Connecting, error: Option<&RedisError>) {
        let is_of_no_use = |error: &RedisError| {
            // A server that takes no changes is not, or no longer, the one that is meant.
            let kind = error.kind();
            let demoted = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown];
            let demoted = demoted.into_iter().any(|it| kind == ErrorKind::Server(it));
            demoted || error.is_io_error() || error.is_unrecoverable_error()
        };
        if error.is_some_and(is_of_no_use) {
            self.shared().take_if(|kept| kept.ptr_eq(used));
        }
    }

    fn shared(&self) -> MutexGuard<'_, Option<Connecting>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    async fn connect(&self, answer: Option<Duration>) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(answer);
        let sentinels = match self {
            Self::Address(client) => {
                return client.get_multiplexed_async_connection_with_config(&config).await;
            }
            Self::Sentinels(sentinels) => sentinels,
        };
        let client = sentinels.primary().await?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        // Sentinels that have not heard of a failover yet name the old one.
        let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
            _ => Err((ErrorKind::Io, "the server that sentinels name is no primary (yet)").into()),
        }
    }
}

impl ConnectionLike for Server {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let used = self.connecting();
            let answer = match used.clone().await {
                Ok(mut connection) => connection.req_packed_command(cmd).await,
                Err(error) => Err(error),
            };
            self.note(&used, answer.as_ref().err());
            answer
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        async move {
            let used = self.connecting();
            let answer = match used.clone().await {
                Ok(mut connection) => connection.req_packed_commands(pipeline, offset, count).await,
                Err(error) => Err(error),
            };
            self.note(&used, answer.as_ref().err());
            answer
        }
        .boxed()
    }

    /// Nobody asks.
    fn get_db(&self) -> i64 {
        0
    }
}
