//! A packet comes again, for the router that had it is gone: which instance has it?
//!
//! ```text
//! again ─▶ Recalling ─┬─ an instance knows it ──────▶ Attempting there: it is worked on, or its
//!                     │                               ending is told once more
//!                     └─ nobody does, or time is up ▶ Attempting, at the instance of its conversation
//! ```
//! The router that is gone may have given it to another instance than this one would: who was linked
//! then, and who had room, nobody knows any more. Given to a second one it would arrive twice.

use std::time::Duration;

use openfed_proto::link::{FromRouter, Instruction};
use openfed_proto::packet::{Ending, PacketId};

use crate::answers;
use crate::attempts::role_for;
use crate::clock::Now;
use crate::core::Router;
use crate::deliveries::State;
use crate::nodes::{Lack, LinkId};

/// Instances answer from memory; one that does not by then is about to be given up.
const PATIENCE: Duration = Duration::from_secs(1);

impl Router {
    /// Asks all instances that may have the attempt; false if there is no choice.
    pub(crate) fn recall(&mut self, id: PacketId, instruction: Instruction, now: Now) -> bool {
        let role = role_for(instruction);
        let asked = self.nodes.iter().filter(|link| link.role == role);
        let asked: Vec<LinkId> = asked.map(|link| link.id).collect();
        if asked.len() < 2 {
            return false;
        }
        for link in &asked {
            self.send(*link, FromRouter::Recall { packet: id, instruction });
        }
        let until = now.after(PATIENCE);
        let conversation = self.deliveries.change(id, |delivery| {
            delivery.recalled = Some(instruction);
            delivery.state = State::Recalling { instruction, asked, until };
            delivery.packet.conversation
        });
        self.recalling.extend(conversation.map(|conversation| (conversation, id)));
        true
    }

    /// What comes behind a packet of its conversation that is being recalled goes the same way, or
    /// it would overtake that one (E-47).
    pub(crate) fn follows_a_recall(&self, id: PacketId) -> bool {
        if self.recalling.is_empty() {
            return false;
        }
        let Some(delivery) = self.deliveries.get(id) else { return false };
        let conversation = delivery.packet.conversation;
        let first = (conversation, PacketId([0; 16]));
        self.recalling.range(first..).next().is_some_and(|(other, _)| *other == conversation)
    }

    /// An instance said whether it has the attempt.
    pub(crate) fn recalled(
        &mut self,
        link: LinkId,
        id: PacketId,
        (instruction, known): (Instruction, bool),
        now: Now,
    ) {
        let left = self.deliveries.change(id, |delivery| match &mut delivery.state {
            State::Recalling { instruction: wanted, asked, .. } if *wanted == instruction => {
                let before = asked.len();
                asked.retain(|other| *other != link);
                (asked.len() < before).then_some(asked.len())
            }
            _ => None,
        });
        match left.flatten() {
            Some(_) if known => {
                self.recall_is_over(id);
                match self.take_room(Ok(link)) {
                    Ok(taken) => self.start_attempt(id, instruction, taken, 0, now),
                    Err(Lack::Room | Lack::Nobody) => {
                        self.finish(id, Ending::Failed(answers::instance_died()), now);
                    }
                }
            }
            Some(0) => self.nobody_knows(id, instruction, now),
            _ => {}
        }
    }

    /// The attempt is made by whoever comes first for its conversation.
    pub(crate) fn nobody_knows(&mut self, id: PacketId, instruction: Instruction, now: Now) {
        self.recall_is_over(id);
        self.give_to_instance(id, instruction, None, 0, now);
    }

    /// An instance that was asked is gone.
    pub(crate) fn recalls_lost(&mut self, lost: LinkId, now: Now) {
        for (_, id) in self.recalling.clone() {
            let Some(delivery) = self.deliveries.get(id) else { continue };
            if let State::Recalling { instruction, .. } = delivery.state {
                self.recalled(lost, id, (instruction, false), now);
            }
        }
    }

    pub(crate) fn recall_is_over(&mut self, id: PacketId) {
        if self.recalling.is_empty() {
            return;
        }
        let conversation = self.deliveries.get(id).map(|delivery| delivery.packet.conversation);
        if let Some(conversation) = conversation {
            self.recalling.remove(&(conversation, id));
        }
    }
}
