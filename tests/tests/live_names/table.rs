//! The table in the guide of names that are not carried, held against what was seen.

use std::fmt::Write;
use std::path::Path;

use openfed_tests::{Failure, Result};

use crate::trial::Fate;

/// What became of one name: from SIP and to SIP on Prosody, the same on ejabberd.
pub(crate) struct Row {
    pub(crate) part: &'static str,
    pub(crate) what: &'static str,
    pub(crate) written: &'static str,
    pub(crate) fates: Vec<Fate>,
}

const BEGIN: &str = "<!-- what the test saw -->\n";
const END: &str = "<!-- end of what the test saw -->\n";

/// Compares it with the guide; if `OPENFED_WRITE_NAMES` is in the environment, writes it there.
pub(crate) fn hold(rows: &[Row]) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/names.md");
    let guide = std::fs::read_to_string(&path)?;
    let lost = || Failure::new("deploy/names.md has lost the place of the table");
    let (before, rest) = guide.split_once(BEGIN).ok_or_else(lost)?;
    let (there, after) = rest.split_once(END).ok_or_else(lost)?;
    let seen = written(rows);
    if std::env::var_os("OPENFED_WRITE_NAMES").is_some() {
        return Ok(std::fs::write(&path, format!("{before}{BEGIN}{seen}{END}{after}"))?);
    }
    assert_eq!(there, seen, "deploy/names.md says otherwise; OPENFED_WRITE_NAMES=1 writes it anew");
    Ok(())
}

fn written(rows: &[Row]) -> String {
    let mut table = String::from(
        "| part | what | written | Prosody, from SIP | to SIP | ejabberd, from SIP | to SIP |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Row { part, what, written, fates } in rows {
        if !fates.contains(&Fate::Refused) {
            continue;
        }
        let fates: Vec<String> = fates.iter().map(Fate::to_string).collect();
        let _ =
            writeln!(table, "| {part} | {what} | `{}` | {} |", visible(written), fates.join(" | "));
    }
    let all = |part: &str| rows.iter().filter(|row| row.part == part).count();
    let carried = |part: &str| {
        let whole = |row: &&Row| row.part == part && !row.fates.contains(&Fate::Refused);
        rows.iter().filter(whole).count()
    };
    let (users, domains) = ("user", "domain");
    let _ = writeln!(
        table,
        "\nCarried both ways by both: {} of {} user names and {} of {} domains that were tried.",
        carried(users),
        all(users),
        carried(domains),
        all(domains)
    );
    table
}

/// What nobody sees on a page is written as its number.
fn visible(text: &str) -> String {
    let plain = |c: char| {
        c.is_ascii()
            || (c.is_alphanumeric()
                && !matches!(u32::from(c), 0x300..=0x36f | 0x590..=0x8ff | 0x1e900..))
    };
    let shown =
        |c: char| if plain(c) { c.to_string() } else { format!("\\u{{{:x}}}", u32::from(c)) };
    text.chars().map(shown).collect()
}
