//! `openfed health`: what a container engine or supervisor asks.

use clap::Args;
use openfed_node::process;

use crate::api::{Api, ApiError, ApiUrl};
use crate::check::{reachable, url};
use crate::cli::{Failure, Session};

/// Which services are asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Asks /readyz. Without URL, those of the http addresses in the settings at which something answers:
in a container that runs one service, that one. Exit code 0 if at least one service is ready and
none is not.")]
pub(crate) struct Arguments {
    /// A service's http address, such as http://127.0.0.1:7481
    #[arg(value_name = "URL")]
    urls: Vec<ApiUrl>,
}

impl Arguments {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let named = !self.urls.is_empty();
        let urls = if named { self.urls } else { configured(session)? };
        let (mut ready, mut not) = (0, 0);
        for url in urls {
            match Api::new(url.clone()).agrees("/readyz").await {
                Ok(true) => {
                    ready += 1;
                    session.say(&format!("{url} ready"))?;
                }
                Ok(false) => {
                    not += 1;
                    session.say(&format!("{url} not ready"))?;
                }
                Err(ApiError::Unreachable { .. }) if !named => {}
                Err(error) => {
                    not += 1;
                    session.say(&error.to_string())?;
                }
            }
        }
        match (ready, not) {
            (1.., 0) => Ok(()),
            _ => Err(Failure::NotReady),
        }
    }
}

fn configured(session: &Session<'_>) -> Result<Vec<ApiUrl>, Failure> {
    let settings = process::load(session.settings_file.as_deref()).map_err(Failure::Settings)?;
    let mut urls = vec![ApiUrl::of_router(&settings, reachable(settings.router.http))];
    let mut others = vec![settings.sip.http, settings.xmpp.http];
    others.extend(Some(settings.front.http).filter(|_| !settings.front.pass.is_empty()));
    others.extend(settings.xmpp.dns.filter(|dns| dns.apart).map(|dns| dns.http));
    urls.extend(others.into_iter().map(|address| url(address).into()));
    Ok(urls)
}
