//! The API token: where the command finds it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use openfed_node::process;
use openfed_node::settings::Settings;

use crate::api::ApiUrl;
use crate::cli::Failure;

/// The variable with the token itself.
const VARIABLE: &str = "OPENFED_TOKEN";

/// What is shown to the API; or why nothing is, for whoever is refused then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) token: Option<String>,
    pub(crate) why_not: Option<String>,
}

/// The token of `--token-file`, else of the environment, else the one that the router of these
/// settings keeps on this machine. The last goes to no other machine: whoever is there would have it.
pub(crate) fn find(
    file: Option<&Path>,
    settings_file: Option<&Path>,
    api: Option<&ApiUrl>,
) -> Result<Shown, Failure> {
    if let Some(file) = file {
        let unreadable = |cause| Failure::Unreadable { file: file.display().to_string(), cause };
        return Ok(shown(read(file).map_err(unreadable)?));
    }
    if let Some(token) = std::env::var(VARIABLE).ok().filter(|token| !token.is_empty()) {
        return Ok(shown(token));
    }
    if let Some(url) = api
        && !is_here(&url.at.host)
    {
        let why_not = format!("name a token's file with --token-file, or set {VARIABLE}");
        return Ok(Shown { token: None, why_not: Some(why_not) });
    }
    let settings = match settings_file {
        Some(file) => process::load(Some(file)).map_err(Failure::Settings)?,
        None => Settings::default(),
    };
    Ok(match settings.token_file() {
        Some(file) => of_router(file),
        None => Shown {
            token: None,
            why_not: Some(format!(
                "the settings name no router.token_file; name one with --token-file, or set {VARIABLE}"
            )),
        },
    })
}

/// The token that a router on this machine keeps.
pub(crate) fn of_router(file: PathBuf) -> Shown {
    match read(&file) {
        Ok(token) => shown(token),
        Err(error) => {
            let why_not = format!(
                "the router's own token cannot be read: {}: {error}; use another one with \
                 --token-file or {VARIABLE}",
                file.display()
            );
            Shown { token: None, why_not: Some(why_not) }
        }
    }
}

fn shown(token: String) -> Shown {
    Shown { token: Some(token), why_not: None }
}

fn read(file: &Path) -> io::Result<String> {
    let token = fs::read_to_string(file)?.trim().to_owned();
    // It becomes a line of a request.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "holds no token"));
    }
    Ok(token)
}

/// Whether a host of a URL is this machine.
fn is_here(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_here() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(is_here(host), "{host}");
        }
        for host in ["xcp-router", "192.0.2.1", "localhost.example", "::2"] {
            assert!(!is_here(host), "{host}");
        }
    }
}
