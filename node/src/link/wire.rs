//! The generated gRPC stubs, and the two kinds of frames as the rest of the link sees them.

use openfed_proto::link::{FromCm, FromRouter, Hello};
use openfed_proto::wire::{WireError, v1};

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
mod stubs {
    tonic::include_proto!("openfed.v1");
}

pub(super) use stubs::link_client::LinkClient as Stub;
pub(super) use stubs::link_server::{Link as Service, LinkServer as ServiceServer};

/// A frame as it travels.
pub(super) use openfed_proto::wire::v1::{FromCm as WireFromCm, FromRouter as WireFromRouter};

/// What one end says.
pub(super) trait Frame: Sized + Send + 'static {
    /// Its generated form.
    type Wire: Send + 'static;

    fn decode(wire: Self::Wire) -> Result<Self, WireError>;

    /// The greeting in it, or the frame itself.
    fn into_hello(self) -> Result<Hello, Self>;
}

impl Frame for FromCm {
    type Wire = v1::FromCm;

    fn decode(wire: Self::Wire) -> Result<Self, WireError> {
        wire.try_into()
    }

    fn into_hello(self) -> Result<Hello, Self> {
        if let Self::Hello(hello) = self { Ok(hello) } else { Err(self) }
    }
}

impl Frame for FromRouter {
    type Wire = v1::FromRouter;

    fn decode(wire: Self::Wire) -> Result<Self, WireError> {
        wire.try_into()
    }

    fn into_hello(self) -> Result<Hello, Self> {
        if let Self::Hello(hello) = self { Ok(hello) } else { Err(self) }
    }
}
