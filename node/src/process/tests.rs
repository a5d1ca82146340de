use std::io;

use super::*;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.node.drain = std::time::Duration::from_millis(50);
    settings
}

fn code(exit: ExitCode) -> String {
    format!("{exit:?}")
}

#[test]
fn bad_settings_end_the_process_with_64() {
    let exit = load(Some(Path::new("/no/such/openfed.toml"))).expect_err("no such file");
    assert_eq!(code(exit), code(ExitCode::from(64)));
}

#[test]
fn a_service_that_ends_well_is_a_success() {
    let exit = run("test", settings(), async |_, _| Ok::<(), io::Error>(()));
    assert_eq!(code(exit), code(ExitCode::SUCCESS));
}

#[test]
fn a_service_that_fails_is_a_failure() {
    let exit = run("test", settings(), async |_, _| Err(io::Error::other("no port")));
    assert_eq!(code(exit), code(ExitCode::FAILURE));
}

#[test]
fn a_service_that_never_ends_is_cut_after_its_deadline() {
    let exit = run("test", settings(), async |_, shutdown: Shutdown| {
        shutdown.begin();
        std::future::pending::<Result<(), io::Error>>().await
    });
    assert_eq!(code(exit), code(ExitCode::FAILURE));
}

#[test]
fn an_error_is_told_with_its_causes_each_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("sip-cm")]
    struct Outer(#[source] Middle);
    #[derive(Debug, thiserror::Error)]
    #[error("the listening addresses: {0}")]
    struct Middle(#[source] io::Error);
    let outer = Outer(Middle(io::Error::other("in use")));
    assert_eq!(in_words(&outer), "sip-cm: the listening addresses: in use");
}
