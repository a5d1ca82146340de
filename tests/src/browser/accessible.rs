//! Whether everybody can use a page: axe-core, run inside it.

use serde_json::Value;

use super::{Browser, target};
use crate::{Failure, Result};

/// Where `tests/run browser` puts axe-core, below the target directory.
const AXE: &str = "browser/node_modules/axe-core/axe.min.js";

impl Browser {
    /// Fails if axe-core finds a serious or critical violation on the page that is open.
    pub async fn is_accessible(&self) -> Result<()> {
        let file = target()?.join(AXE);
        let axe = std::fs::read_to_string(&file).map_err(|error| {
            Failure::new(format!("{}: {error}; use tests/run browser", file.display()))
        })?;
        self.script(&axe, Vec::new()).await?;
        let run = "const done = arguments[arguments.length - 1]; \
                   axe.run(document).then(done, (error) => done({ error: String(error) }))";
        let found = self.client.execute_async(run, Vec::new()).await?;
        let (Some(passes), Some(violations)) =
            (found["passes"].as_array(), found["violations"].as_array())
        else {
            return Err(Failure::new(format!("axe-core did not run: {}", found["error"])));
        };
        if passes.is_empty() {
            return Err(Failure::new("axe-core looked at nothing"));
        }
        let grave = |own: &&Value| own["impact"] == "serious" || own["impact"] == "critical";
        let grave: Vec<String> = violations.iter().filter(grave).map(describe).collect();
        if grave.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("{}: {grave:#?}", self.path().await?)))
    }
}

fn describe(violation: &Value) -> String {
    let nodes = violation["nodes"].as_array().into_iter().flatten();
    let nodes: Vec<String> =
        nodes.map(|node| format!("{}: {}", node["html"], node["failureSummary"])).collect();
    format!("{} ({}): {nodes:#?}", violation["help"], violation["id"])
}
