//! Two lanes to the engine: what ends work overtakes what begins it. Whoever has more to do than can
//! be done so finishes what was begun, and no answer is late because of requests that wait.

use std::future::poll_fn;
use std::task::Poll;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Event;

/// Where events go in.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    ends: Sender<Event>,
    begins: Sender<Event>,
}

/// Where the engine takes them out.
#[derive(Debug)]
pub struct Events {
    ends: Receiver<Event>,
    begins: Receiver<Event>,
}

/// Lanes for so many events each.
pub(super) fn lanes(capacity: usize) -> (Entry, Events) {
    let ((ends, endings), (begins, beginnings)) = (channel(capacity), channel(capacity));
    (Entry { ends, begins }, Events { ends: endings, begins: beginnings })
}

impl Entry {
    /// Waits until there is room.
    ///
    /// # Errors
    /// There is no engine any more.
    pub(super) async fn send(&self, event: Event) -> Result<(), Event> {
        self.lane(&event).send(event).await.map_err(|refused| refused.0)
    }

    /// # Errors
    /// There is no room, or no engine any more.
    pub(super) fn try_send(&self, event: Event) -> Result<(), TrySendError<Event>> {
        self.lane(&event).try_send(event)
    }

    fn lane(&self, event: &Event) -> &Sender<Event> {
        match event {
            Event::Arrived(arrived) if !arrived.message.is_request() => &self.ends,
            Event::SendFailed { .. } => &self.ends,
            Event::Arrived(_) | Event::Unread(_) | Event::Closed { .. } => &self.begins,
        }
    }
}

impl Events {
    /// As [`Receiver::recv_many`]: what ends work first.
    pub async fn recv_many(&mut self, into: &mut Vec<Event>, limit: usize) -> usize {
        poll_fn(|cx| match self.ends.poll_recv_many(cx, into, limit) {
            Poll::Ready(count @ 1..) => Poll::Ready(count),
            _ => self.begins.poll_recv_many(cx, into, limit),
        })
        .await
    }
}

#[cfg(test)]
impl Events {
    pub(super) async fn recv(&mut self) -> Option<Event> {
        let mut one = Vec::new();
        self.recv_many(&mut one, 1).await;
        one.pop()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use sip_cm_core::command::{FlowId, Token};

    use super::*;
    use crate::transport::{SendError, Unread};

    fn begins(length: usize) -> Event {
        let source = ([127, 0, 0, 1], 5060).into();
        let bytes = vec![b'x'; length].into();
        Event::Unread(Unread { bytes, source, flow: FlowId(1), at: Instant::now() })
    }

    #[tokio::test]
    async fn what_ends_work_overtakes_what_begins_it_and_each_lane_has_its_own_room() {
        let (entry, mut events) = lanes(2);
        for length in [1, 2] {
            entry.try_send(begins(length)).expect("room");
        }
        assert!(matches!(entry.try_send(begins(3)), Err(TrySendError::Full(_))));
        let failed = Event::SendFailed { token: Token(7), error: SendError::Busy };
        entry.try_send(failed).expect("room beside what begins");
        let mut taken = Vec::new();
        assert_eq!(events.recv_many(&mut taken, 8).await, 1);
        assert_eq!(events.recv_many(&mut taken, 8).await, 2);
        let [Event::SendFailed { .. }, Event::Unread(first), Event::Unread(second)] = &taken[..]
        else {
            panic!("not in order: {taken:?}");
        };
        assert_eq!((first.bytes.len(), second.bytes.len()), (1, 2));
    }
}
