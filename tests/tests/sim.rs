//! The system simulated, scene by scene: three cores, one clock, no I/O.

mod sim {
    mod hops;
}
