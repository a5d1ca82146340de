//! `openfed demo`: the documented hop on a machine with nothing else installed.

use openfed_tests::openfed::program;
use openfed_tests::place::Place;
use openfed_tests::process::Process;
use openfed_tests::scene::{SOON, play};

async fn demo(place: &Place) -> openfed_tests::Result<Vec<String>> {
    let mut process = Process::start(place, "demo", &program("openfed")?, &["demo"])?;
    let status = process.end(SOON).await?;
    let lines = process.log().lines.all();
    assert!(status.success(), "{status}: {lines:#?}");
    Ok(lines)
}

#[test]
fn the_demo_shows_the_hop_the_row_and_the_second_message_that_goes_straight() {
    play(async |place| {
        let lines = demo(place).await?;
        let text = lines.join("\n");
        let hop = ["sip-cm", "xcp-router", "xmpp-cm", "xcp-router", "sip-cm"];
        let mut rest = text.as_str();
        for service in hop {
            let found = rest.split_once(service).map(|(_, after)| after);
            rest = found.unwrap_or_else(|| panic!("{service} is missing of {hop:?} in:\n{text}"));
        }
        assert!(text.contains("discovered"), "the row that appeared:\n{text}");
        Ok(())
    });
}
