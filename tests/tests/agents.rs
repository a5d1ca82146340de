//! User agents of libraries whose tool chains Debian does not have, or not alone: `tests/run agents`
//! builds them.

use openfed_tests::agent::Library;
use openfed_tests::agent::scenes::{
    answers_are_by_the_rfc, texts_go_both_ways, texts_go_within_a_call,
};
use openfed_tests::scene::play;

#[test]
fn sipgo_writes_and_is_written_to() {
    play(async |place| texts_go_both_ways(place, Library::Sipgo).await);
}

#[test]
fn sipgo_is_answered_by_the_rfc() {
    play(async |place| answers_are_by_the_rfc(place, Library::Sipgo).await);
}

#[test]
fn sipgo_writes_within_a_call() {
    play(async |place| texts_go_within_a_call(place, Library::Sipgo).await);
}

#[test]
fn jain_sip_writes_and_is_written_to() {
    play(async |place| texts_go_both_ways(place, Library::Jain).await);
}

#[test]
fn jain_sip_is_answered_by_the_rfc() {
    play(async |place| answers_are_by_the_rfc(place, Library::Jain).await);
}

#[test]
fn jain_sip_writes_within_a_call() {
    play(async |place| texts_go_within_a_call(place, Library::Jain).await);
}
