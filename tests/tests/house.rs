//! The house rules: what may depend on what, which licences come in, and how files look.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use openfed_tests::{Failure, Result};
use serde_json::Value;

/// A file without its tests has at most this many lines.
const LONGEST_FILE: usize = 400;

const CRATES: [&str; 10] = [
    "openfed-proto",
    "openfed-node",
    "sip-cm",
    "sip-cm-core",
    "xmpp-cm",
    "xmpp-cm-core",
    "xcp-router",
    "xcp-router-core",
    "openfed",
    "openfed-tests",
];

const CORES: [&str; 4] = ["openfed-proto", "sip-cm-core", "xmpp-cm-core", "xcp-router-core"];

/// What does I/O, keeps time or stores: nothing of it may be in a core, however indirectly.
const OUTSIDE: [&str; 14] = [
    "tokio",
    "mio",
    "socket2",
    "tonic",
    "hyper",
    "axum",
    "h2",
    "redis",
    "redb",
    "rustls",
    "hickory-resolver",
    "hickory-proto",
    "tracing-subscriber",
    "opentelemetry_sdk",
];

const SIP: [&str; 3] = ["rsip", "sip-cm", "sip-cm-core"];
const XMPP: [&str; 8] =
    ["rxml", "minidom", "jid", "xso", "xmpp-parsers", "tokio-xmpp", "xmpp-cm", "xmpp-cm-core"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).current_dir(root()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{program} {arguments:?}: {error}")))
}

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn metadata() -> Result<Value> {
    let version = output("rustc", &["-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::new("rustc names no host"))?;
    let arguments = ["metadata", "--format-version", "1", "--filter-platform", host];
    Ok(serde_json::from_str(&output(&cargo(), &arguments)?)?)
}

/// The packages that are built for this machine.
fn built(metadata: &Value) -> Vec<&Value> {
    let ids = texts(&metadata["resolve"]["nodes"], "id");
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.filter(|package| ids.contains(text(package, "id"))).collect()
}

fn texts<'a>(list: &'a Value, key: &str) -> BTreeSet<&'a str> {
    list.as_array().into_iter().flatten().map(|item| text(item, key)).collect()
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

/// Everything that `package` is made of, directly or not, with the features that it asks for alone.
fn made_of(package: &str) -> Result<BTreeSet<String>> {
    let arguments = ["tree", "-p", package, "-e", "normal", "--prefix", "none", "-f", "{p}"];
    let tree = output(&cargo(), &arguments)?;
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

fn assert_without(package: &str, banned: &[&str], why: &str) -> Result<()> {
    let parts = made_of(package)?;
    let found: Vec<_> = banned.iter().filter(|name| parts.contains(**name)).collect();
    assert!(found.is_empty(), "{package} contains {found:?}: {why}");
    Ok(())
}

#[test]
fn a_core_sees_no_other_core_and_no_outside_world() -> Result<()> {
    for core in CORES {
        assert_without(core, &OUTSIDE, "a core decides, it does no I/O")?;
        let own = ["openfed-proto", core];
        let others: Vec<_> = CRATES.into_iter().filter(|name| !own.contains(name)).collect();
        assert_without(core, &others, "a core knows its own side only")?;
    }
    Ok(())
}

#[test]
fn no_core_brings_its_own_randomness() -> Result<()> {
    let metadata = metadata()?;
    for core in CORES {
        let direct = direct_dependencies(&metadata, core);
        for banned in ["rand", "getrandom", "fastrand", "uuid"] {
            assert!(!direct.contains(banned), "{core} draws random numbers by {banned}");
        }
    }
    Ok(())
}

#[test]
fn each_service_knows_its_own_protocol_only() -> Result<()> {
    assert_without("sip-cm", &XMPP, "sip-cm knows no XMPP")?;
    assert_without("xmpp-cm", &SIP, "xmpp-cm knows no SIP")?;
    assert_without("xcp-router", &[&SIP[..], &XMPP[..]].concat(), "the router knows neither")?;
    for (service, other) in
        [("sip-cm", "xcp-router"), ("xmpp-cm", "xcp-router"), ("xcp-router", "openfed")]
    {
        assert_without(service, &[other], "services meet on the link only")?;
    }
    assert_without("openfed-node", &[&SIP[..], &XMPP[..]].concat(), "node is for all alike")
}

#[test]
fn members_of_the_workspace_depend_on_whom_they_may() -> Result<()> {
    let metadata = metadata()?;
    for (package, allowed) in [
        ("openfed-proto", &[][..]),
        ("openfed-node", &["openfed-proto"]),
        ("sip-cm-core", &["openfed-proto"]),
        ("xmpp-cm-core", &["openfed-proto"]),
        ("xcp-router-core", &["openfed-proto"]),
        ("sip-cm", &["openfed-proto", "openfed-node", "sip-cm-core"]),
        ("xmpp-cm", &["openfed-proto", "openfed-node", "xmpp-cm-core"]),
        ("xcp-router", &["openfed-proto", "openfed-node", "xcp-router-core"]),
        ("openfed", &["openfed-proto", "openfed-node", "sip-cm", "xmpp-cm", "xcp-router"]),
    ] {
        let direct = direct_dependencies(&metadata, package);
        let wrong: Vec<_> =
            direct.iter().filter(|name| CRATES.contains(name) && !allowed.contains(name)).collect();
        assert!(wrong.is_empty(), "{package} may not depend on {wrong:?}");
    }
    Ok(())
}

/// What stands under `[dependencies]` of a member.
fn direct_dependencies<'a>(metadata: &'a Value, package: &str) -> BTreeSet<&'a str> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let own = packages.filter(|other| text(other, "name") == package);
    let dependencies = own.flat_map(|own| own["dependencies"].as_array().into_iter().flatten());
    dependencies
        .filter(|needed| needed["kind"].is_null())
        .map(|needed| text(needed, "name"))
        .collect()
}

#[test]
fn every_core_bans_clocks_and_sockets_for_clippy() {
    for core in ["proto", "sip-cm/core", "xmpp-cm/core", "xcp-router/core"] {
        assert!(root().join(core).join("clippy.toml").is_file(), "{core} has no clippy.toml");
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() -> Result<()> {
    let allowed = quoted_list("deny.toml", "allow = [")?;
    let metadata = metadata()?;
    for package in built(&metadata) {
        let (name, licence) = (text(package, "name"), text(package, "license"));
        let named = match (name, licence) {
            // They name a file instead, which is the MIT licence; deny.toml says so too.
            ("rsip" | "rsip-derives", "") => "MIT",
            _ => licence,
        };
        assert!(permits(named, &allowed), "{name} has the licence {licence:?}");
    }
    Ok(())
}

/// Whether one may choose only allowed licences in an SPDX expression.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    // An inner pair of brackets is judged first and replaced by its verdict.
    if let Some(close) = expression.find(')')
        && let Some(open) = expression[..close].rfind('(')
    {
        let verdict = if permits(&expression[open + 1..close], allowed) { "yes" } else { "no" };
        let (before, after) = (&expression[..open], &expression[close + 1..]);
        return permits(&format!("{before}{verdict}{after}"), allowed);
    }
    let old_style = expression.replace('/', " OR ");
    old_style.split(" OR ").any(|choice| {
        choice.split(" AND ").all(|part| {
            let part = part.trim();
            let plain = part.split(" WITH ").next().unwrap_or_default();
            part == "yes" || allowed.contains(plain)
        })
    })
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(GPL-2.0 OR ISC) AND MIT"] {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-2.0 OR MIT) AND GPL-3.0", "no"] {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}

#[test]
fn tls_is_ring_and_rustls_alone() -> Result<()> {
    let metadata = metadata()?;
    let packages = built(&metadata);
    for banned in ["aws-lc-sys", "aws-lc-rs", "openssl-sys", "native-tls"] {
        let found = packages.iter().any(|package| text(package, "name") == banned);
        assert!(!found, "{banned} is in the build");
    }
    Ok(())
}

/// The quoted texts between `start` and the next `]` of a file.
fn quoted_list(file: &str, start: &str) -> Result<BTreeSet<String>> {
    let content = std::fs::read_to_string(root().join(file))?;
    let list = content.split_once(start).and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.ok_or_else(|| Failure::new(format!("{file} has no {start}")))?;
    Ok(list.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// The files under version control, or new and not ignored, with one of these endings.
fn files(endings: &[&str]) -> Result<Vec<String>> {
    let list = output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    let wanted = |path: &&str| {
        endings.iter().any(|ending| path.ends_with(ending)) && root().join(path).is_file()
    };
    Ok(list.lines().filter(wanted).map(str::to_owned).collect())
}

fn is_test(path: &str) -> bool {
    path.split('/').skip(1).any(|part| ["tests", "tests.rs", "benches"].contains(&part))
}

#[test]
fn no_file_is_longer_than_it_may_be() -> Result<()> {
    let exceptions = exceptions()?;
    let mut long = Vec::new();
    for path in files(&[".rs"])?.into_iter().filter(|path| !is_test(path)) {
        let content = std::fs::read_to_string(root().join(&path))?;
        let tests = content.find("\n#[cfg(test)]\nmod tests {").unwrap_or(content.len());
        let own = content[..tests].lines().count();
        if own > LONGEST_FILE && !exceptions.iter().any(|exception| path.ends_with(exception)) {
            long.push(format!("{path}: {own} lines"));
        }
    }
    assert!(long.is_empty(), "split along the grain or name in ARCHITECTURE.md: {long:#?}");
    Ok(())
}

/// The files that ARCHITECTURE.md names (in backquotes) under a heading with the word "exceptions".
fn exceptions() -> Result<Vec<String>> {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let parts = page.split("\n#").filter(|part| {
        part.lines().next().is_some_and(|title| title.to_lowercase().contains("exceptions"))
    });
    let quoted = parts.flat_map(|part| part.split('`').skip(1).step_by(2));
    Ok(quoted.filter(|text| text.ends_with(".rs")).map(str::to_owned).collect())
}

#[test]
fn nothing_is_left_to_do() -> Result<()> {
    // Put together here, so that this file does not find itself.
    let marks = ["TO DO", "FIX ME", "to do!(", "un implemented!(", "#[ ignore"];
    let marks = marks.map(|mark| mark.replace(' ', ""));
    assert_nowhere(&[".rs", ".toml", ".sh", ".lua", ".proto", ".yaml", ".yml", "run"], &marks)
}

#[test]
fn the_project_names_no_machine() -> Result<()> {
    let paths = ["work", "root", "farm"].map(|name| format!("/{name}/"));
    assert_nowhere(&[".rs", ".toml", ".sh", ".md", ".yaml", ".yml", ".proto", "run"], &paths)
}

fn assert_nowhere(endings: &[&str], marks: &[String]) -> Result<()> {
    let mut found = Vec::new();
    for path in files(endings)? {
        let content = std::fs::read_to_string(root().join(&path))?;
        for (number, line) in content.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

#[test]
fn modules_are_named_for_their_subject() -> Result<()> {
    for path in files(&[".rs"])? {
        let name = path.rsplit('/').next().unwrap_or_default();
        let vague = ["mod.rs", "common.rs", "util.rs", "utils.rs", "types.rs", "helpers.rs"];
        assert!(!vague.contains(&name), "{path}: named for no subject, or mod.rs");
    }
    Ok(())
}
