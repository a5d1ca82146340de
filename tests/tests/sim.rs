//! The system simulated, scene by scene: three cores, one clock, no I/O.

mod sim {
    mod asking;
    mod failures;
    mod hops;
    mod ledger;
    mod storms;
    mod traffic;
}
