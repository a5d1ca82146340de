//! A person at the console: headless Chromium, driven by its WebDriver (W3C WebDriver, ChromeDriver).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::place::Place;
use crate::process::{Process, until};
use crate::{Failure, Result};

mod accessible;
mod command;

use command::ToDriver;

/// How large the window is on a desk.
pub const DESK: (u32, u32) = (1280, 860);
/// How large it is on a phone.
pub const PHONE: (u32, u32) = (390, 780);

/// A running browser at one router's console.
pub struct Browser {
    client: Client,
    base: String,
    /// What the driver logged so far, kept over several looks.
    requests: Vec<String>,
    _driver: Process,
}

impl Browser {
    /// Starts it; the driver chooses a port for itself.
    pub async fn start(place: &Place, router: SocketAddr) -> Result<Self> {
        let driver = Process::start(place, "chromedriver", "chromedriver", &["--port=0"])?;
        let line = driver.line("started successfully on port").await?;
        let port = line.rsplit(' ').next().unwrap_or_default().trim_end_matches('.');
        let profile = place.directory("browser")?;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(&profile));
        let client = builder.connect(&format!("http://127.0.0.1:{port}")).await?;
        let base = format!("http://{router}");
        let mut browser = Self { client, base, requests: Vec::new(), _driver: driver };
        // The browser's own first page is not of interest, nor is what it asks for.
        browser.client.goto("about:blank").await?;
        browser.log("performance").await?;
        browser.resize(DESK).await?;
        Ok(browser)
    }

    /// Sets the size of what is shown, whatever surrounds it.
    pub async fn resize(&mut self, (width, height): (u32, u32)) -> Result<()> {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics).await.map(|_| ())
    }

    /// Says which scheme of colours the person prefers: `light` or `dark`.
    pub async fn prefer(&mut self, scheme: &str) -> Result<()> {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features })).await?;
        Ok(())
    }

    /// Opens a page of the console.
    pub async fn open(&self, path: &str) -> Result<()> {
        Ok(self.client.goto(&format!("{}{path}", self.base)).await?)
    }

    /// The path and query of the page that is open.
    pub async fn path(&self) -> Result<String> {
        let url = self.client.current_url().await?;
        Ok(url.as_str().trim_start_matches(&self.base).to_owned())
    }

    /// The element, as soon as it is there.
    pub async fn find(&self, css: &str) -> Result<Element> {
        let wait = self.client.wait().at_most(crate::scene::SOON);
        let found = wait.every(Duration::from_millis(20)).for_element(Locator::Css(css)).await;
        found.map_err(|error| Failure::new(format!("no {css} on the page: {error}")))
    }

    /// Whether there is such an element now.
    pub async fn has(&self, css: &str) -> Result<bool> {
        Ok(!self.client.find_all(Locator::Css(css)).await?.is_empty())
    }

    /// The visible text of an element.
    pub async fn text(&self, css: &str) -> Result<String> {
        Ok(self.find(css).await?.text().await?)
    }

    /// Waits until the visible text of an element contains `part`; it may be replaced meanwhile.
    pub async fn shows(&self, css: &str, part: &str) -> Result<()> {
        let shown = until(async || self.text_now(css).await.is_ok_and(|text| text.contains(part)));
        if shown.await.is_ok() {
            return Ok(());
        }
        let text = self.text_now(css).await.unwrap_or_default();
        let log = self.log("browser").await?;
        let messages: Vec<_> = log.iter().map(|entry| entry["message"].to_string()).collect();
        Err(Failure::new(format!("{css} never showed {part:?}, but {text:?}; {messages:?}")))
    }

    /// Waits until no element shows `part` any more.
    pub async fn hides(&self, css: &str, part: &str) -> Result<()> {
        let gone = until(async || self.text_now(css).await.is_ok_and(|text| !text.contains(part)));
        gone.await.map_err(|_| Failure::new(format!("{css} still shows {part:?}")))
    }

    async fn text_now(&self, css: &str) -> Result<String> {
        let script = "const e = document.querySelector(arguments[0]); return e ? e.innerText : ''";
        let text = self.script(script, vec![json!(css)]).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Clicks on an element, and waits for the next page if there is one.
    pub async fn click(&self, css: &str) -> Result<()> {
        Ok(self.find(css).await?.click().await?)
    }

    /// Clicks on the link or button with this visible text.
    pub async fn choose(&self, text: &str) -> Result<()> {
        let path = format!(
            "//*[(self::a or self::button) and normalize-space(.)={text:?}] | \
             //a[starts-with(normalize-space(.), {:?})]",
            format!("{text} ")
        );
        let wait = self.client.wait().at_most(crate::scene::SOON);
        let found = wait.for_element(Locator::XPath(&path)).await;
        let found = found.map_err(|_| Failure::new(format!("no link or button {text:?}")))?;
        Ok(found.click().await?)
    }

    /// Types into a field, in place of what stands there.
    pub async fn fill(&self, css: &str, text: &str) -> Result<()> {
        let field = self.find(css).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    /// Chooses in a list.
    pub async fn select(&self, css: &str, value: &str) -> Result<()> {
        Ok(self.find(css).await?.select_by_value(value).await?)
    }

    /// Presses keys, wherever the focus is.
    pub async fn keys(&self, keys: &str) -> Result<()> {
        Ok(self.client.active_element().await?.send_keys(keys).await?)
    }

    /// The id or, without one, the text of what has the focus.
    pub async fn focus(&self) -> Result<String> {
        let script = "const e = document.activeElement; return e.id || e.innerText || e.tagName";
        let name = self.script(script, Vec::new()).await?;
        Ok(name.as_str().unwrap_or_default().trim().to_owned())
    }

    /// Runs a script in the page.
    pub async fn script(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        Ok(self.client.execute(script, arguments).await?)
    }

    /// Runs a script in the page that calls its last argument when it is done.
    pub async fn script_that_waits(&self, script: &str) -> Result<Value> {
        Ok(self.client.execute_async(script, Vec::new()).await?)
    }

    /// Marks the page that is open, to know it again.
    pub async fn stays(&self) -> Result<()> {
        self.script("window.stayed = true", Vec::new()).await.map(|_| ())
    }

    /// Whether it is still the page that was marked.
    pub async fn has_stayed(&self) -> Result<bool> {
        Ok(self.script("return window.stayed === true", Vec::new()).await? == true)
    }

    /// Waits until the page has a stream of events open.
    pub async fn listens(&self) -> Result<()> {
        self.find("html[data-listening]").await.map(|_| ())
    }

    /// Keeps a picture of the whole page under `target/screenshots`.
    pub async fn picture(&mut self, name: &str) -> Result<PathBuf> {
        let script = "return [document.documentElement.scrollHeight, innerWidth, innerHeight]";
        let size = self.script(script, Vec::new()).await?;
        let number = |at: usize| size[at].as_u64().unwrap_or_default();
        let height = number(0).max(number(2)).min(2_400);
        let clip = json!({ "x": 0, "y": 0, "width": number(1), "height": height, "scale": 1 });
        let wanted = json!({
            "format": "webp", "quality": 70, "captureBeyondViewport": true, "clip": clip,
        });
        let taken = self.devtools("Page.captureScreenshot", &wanted).await?;
        let bytes = from_base64(taken["data"].as_str().unwrap_or_default());
        let directory = target()?.join("screenshots");
        std::fs::create_dir_all(&directory)?;
        let file = directory.join(format!("{name}.webp"));
        std::fs::write(&file, bytes)?;
        Ok(file)
    }

    /// The addresses of all requests that pages made so far.
    pub async fn requests(&mut self) -> Result<&[String]> {
        for entry in self.log("performance").await? {
            let message: Value =
                serde_json::from_str(entry["message"].as_str().unwrap_or_default())?;
            let message = &message["message"];
            if message["method"] == "Network.requestWillBeSent" {
                let url = message["params"]["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
            }
        }
        Ok(&self.requests)
    }

    /// Ends it, and fails if a page wrote an error to its console or asked another host for
    /// anything.
    pub async fn end(mut self) -> Result<()> {
        let errors: Vec<String> = self.log("browser").await?.iter().filter_map(error_of).collect();
        let base = self.base.clone();
        let other = |url: &&String| !url.starts_with(&base) && !url.starts_with("data:");
        let foreign: Vec<String> = self.requests().await?.iter().filter(other).cloned().collect();
        if self.requests.is_empty() {
            return Err(Failure::new("the driver logged no request"));
        }
        self.client.close().await?;
        if errors.is_empty() && foreign.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("errors: {errors:#?}, requests to others: {foreign:#?}")))
    }

    async fn log(&self, kind: &str) -> Result<Vec<Value>> {
        let entries = self.command("se/log", json!({ "type": kind })).await?;
        Ok(entries.as_array().cloned().unwrap_or_default())
    }

    /// Asks for something that WebDriver has no word for (Chrome DevTools Protocol).
    async fn devtools(&mut self, name: &str, params: &Value) -> Result<Value> {
        self.command("goog/cdp/execute", json!({ "cmd": name, "params": params })).await
    }

    async fn command(&self, path: &'static str, body: Value) -> Result<Value> {
        let command = ToDriver { path, body: body.to_string() };
        self.client.issue_cmd(command).await.map_err(|error: CmdError| error.into())
    }
}

/// A refusal that a form shows again (4xx) is an answer, and no error of the page.
fn error_of(entry: &Value) -> Option<String> {
    let text = entry["message"].as_str().unwrap_or_default();
    let is_answer = entry["source"] == "network" && text.contains("status of 4");
    let is_error = entry["level"] == "SEVERE" && !is_answer;
    is_error.then(|| text.to_owned())
}

fn capabilities(profile: &Path) -> Capabilities {
    let arguments = [
        "--headless=new",
        // Root has no sandbox.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        // It ends with its driver, however that ends.
        "--remote-debugging-pipe",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        &format!("--user-data-dir={}", profile.display()),
    ];
    let mut all = Capabilities::new();
    all.insert("goog:chromeOptions".into(), json!({ "args": arguments }));
    all.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL", "performance": "ALL" }));
    all
}

/// The directory of what is built: the tests' artefacts go there, too.
pub fn target() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3);
    target.map(Path::to_owned).ok_or_else(|| Failure::new("the test is in no target directory"))
}

/// RFC 4648 §4; the driver writes it without faults.
fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u32> = text.bytes().filter_map(value).collect();
    let bytes = digits.chunks(4).flat_map(|group| {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        let [_, first, second, third] = bits.to_be_bytes();
        [first, second, third].into_iter().take(group.len() - 1)
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(from_base64(text), bytes.as_bytes());
        }
    }
}
