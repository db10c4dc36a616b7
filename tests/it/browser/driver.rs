//! One browser with its driver; both end when it goes out of scope.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::{PrintConfiguration, PrintMargins};
use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};

use crate::harness::needs;

/// What a person waits before she thinks that nothing happened; generous, because the machine is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);
/// The name under which WebDriver passes an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const AXE: &str = include_str!("../../vendor/axe-core/axe.min.js");

/// What a page is looked at on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    Phone,
    Desk,
}

pub struct Browser {
    pub client: Client,
    base: String,
    screen: Screen,
    driver: Child,
    /// Held open: a driver that writes to a closed pipe dies.
    _out: BufReader<ChildStdout>,
    profile: PathBuf,
}

impl Browser {
    /// `None` where no browser is installed. The profile's folder outlives the browser, as a phone's storage does.
    pub async fn open(base: &str, screen: Screen, profile: &Path) -> Option<Self> {
        let chromium = needs::program("chromium")?;
        let mut driver = Command::new(needs::program("chromedriver")?)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the driver starts");
        let mut out = BufReader::new(driver.stdout.take().expect("stdout is a pipe"));
        let port = port_of(&mut out);
        let mut arguments: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let mut options = json!({ "binary": chromium, "args": arguments, "prefs": { "intl.accept_languages": "zh-CN" } });
        match screen {
            Screen::Phone => {
                options["mobileEmulation"] = json!({ "deviceMetrics": { "width": 360, "height": 740, "pixelRatio": 1.0, "touch": true } });
            }
            Screen::Desk => arguments_of(&mut options).push(json!("--window-size=1280,800")),
        }
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let Value::Object(wanted) = wanted else { unreachable!("an object") };
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let client = builder.capabilities(wanted).connect(&format!("http://127.0.0.1:{port}")).await.expect("the browser starts");
        Some(Self { client, base: base.to_owned(), screen, driver, _out: out, profile: profile.to_owned() })
    }

    pub async fn go(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap_or_else(|error| panic!("{path} opens: {error}"));
    }

    /// The first visible element, waited for.
    pub async fn see(&self, css: &str) -> Element {
        let script = "const found = [...document.querySelectorAll(arguments[0])].find(e => e.checkVisibility()); return found || null;";
        let started = tokio::time::Instant::now();
        loop {
            let found = self.client.execute(script, vec![json!(css)]).await;
            if let Ok(value @ Value::Object(_)) = found {
                let id = value[ELEMENT].as_str().expect("an element has an id").to_owned();
                return Element::from_element_id(self.client.clone(), id.into());
            }
            assert!(started.elapsed() < PATIENCE, "nobody sees {css} on {:?}: {}", self.path().await, self.words().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until nothing visible matches.
    pub async fn see_gone(&self, css: &str) {
        let script = "return ![...document.querySelectorAll(arguments[0])].some(e => e.checkVisibility());";
        self.wait(&format!("{css} goes away"), script, vec![json!(css)]).await;
    }

    /// Waits until these words stand on the page.
    pub async fn read(&self, words: &str) {
        let script = "return document.body.innerText.includes(arguments[0]);";
        self.wait(&format!("“{words}” is on the page"), script, vec![json!(words)]).await;
    }

    /// Waits until a script says true. A page that is just being left is asked again.
    pub async fn wait(&self, what: &str, script: &str, arguments: Vec<Value>) {
        let started = tokio::time::Instant::now();
        while !matches!(self.client.execute(script, arguments.clone()).await, Ok(Value::Bool(true))) {
            assert!(started.elapsed() < PATIENCE, "not so: {what}, on {:?}: {}", self.path().await, self.words().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn tap(&self, css: &str) {
        let element = self.see(css).await;
        // Under the menu or a message nothing can be tapped: a person scrolls first.
        self.client
            .execute("arguments[0].scrollIntoView({block: 'center'})", vec![serde_json::to_value(&element).unwrap()])
            .await
            .unwrap_or_else(|error| panic!("{css} is scrolled to: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{css} is tapped: {error}"));
    }

    pub async fn scroll_to(&self, css: &str) {
        let script = "document.querySelector(arguments[0]).scrollIntoView({block: 'center'})";
        self.client.execute(script, vec![json!(css)]).await.unwrap_or_else(|error| panic!("{css} is scrolled to: {error}"));
    }

    pub async fn write(&self, css: &str, text: &str) {
        let field = self.see(css).await;
        field.clear().await.expect("the field is emptied");
        field.send_keys(text).await.expect("the text is typed");
    }

    pub async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    pub async fn words(&self) -> String {
        let words = self.client.execute("return document.body.innerText", Vec::new()).await;
        words.ok().and_then(|words| words.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Path and query of the page.
    pub async fn path(&self) -> String {
        self.client.current_url().await.map_or_else(|error| error.to_string(), |url| url.as_str().trim_start_matches(&self.base).to_owned())
    }

    /// Keeps a picture and lets axe-core look at the page: no violation of WCAG 2.2 AA or good practice, contrast AAA, nothing wider
    /// than the screen, also with text twice as large, nothing too small to tap.
    pub async fn look(&self, name: &str) {
        assert_eq!(self.findings(name).await, Vec::<String>::new(), "{name} on {:?}", self.screen);
    }

    /// The same as a list, for a walk over many pages.
    pub async fn findings(&self, name: &str) -> Vec<String> {
        self.picture(name).await;
        self.client.execute(AXE, Vec::new()).await.expect("axe-core is read");
        let done = self.client.execute_async(LOOK, Vec::new()).await.expect("axe-core looks");
        serde_json::from_value(done).expect("a list of sentences")
    }

    pub async fn picture(&self, name: &str) {
        let picture = self.client.screenshot().await.expect("a picture is taken");
        std::fs::write(screens().join(format!("{name}-{:?}.png", self.screen).to_lowercase()), picture).expect("the picture is kept");
    }

    /// The page on paper, as its own style wants it: width and height of each sheet in points. The file is kept beside the pictures.
    pub async fn printed(&self, name: &str) -> Vec<(u32, u32)> {
        let wanted =
            PrintConfiguration::builder().shrink_to_fit(false).margins(PrintMargins { top: 0.0, bottom: 0.0, left: 0.0, right: 0.0 });
        let file = self.client.print(wanted.build().expect("a page")).await.expect("the page is printed");
        std::fs::write(screens().join(format!("{name}.pdf")), &file).expect("the file is kept");
        let text = String::from_utf8_lossy(&file);
        let corners = |rest: &str| {
            let numbers: Vec<f64> = rest.split(']').next().unwrap_or_default().split_whitespace().filter_map(|n| n.parse().ok()).collect();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "points of a sheet")]
            let point = |index: usize| numbers.get(index).map_or(0, |number| number.round() as u32);
            (point(2), point(3))
        };
        text.split("/MediaBox [").skip(1).map(corners).collect()
    }

    /// From now on pages look as they do on paper.
    pub async fn show_as_printed(&self) {
        self.tool("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
    }

    /// Runs a script at the start of every page from now on.
    pub async fn before_every_page(&self, script: &str) {
        self.tool("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// What the reader has answered when the browser asked whether it may show pop-ups: `granted` or `denied`.
    pub async fn allow_pop_ups(&self, answer: &str) {
        let parameters = json!({ "permission": { "name": "notifications" }, "setting": answer, "origin": self.base });
        self.tool("Browser.setPermission", parameters).await;
    }

    /// As if the browser's push service had handed this over to our service worker, the first one of the profile.
    pub async fn push(&self, note: &Value) {
        self.tool("ServiceWorker.enable", json!({})).await;
        let parameters = json!({ "origin": self.base, "registrationId": "0", "data": note.to_string() });
        self.tool("ServiceWorker.deliverPushMessage", parameters).await;
    }

    async fn tool(&self, name: &'static str, parameters: Value) {
        self.client.issue_cmd(Tool { name, parameters }).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// What the page complained about on the console since the last time.
    pub async fn complaints(&self) -> Vec<String> {
        let logged = self.client.issue_cmd(&Log).await.expect("the browser's log is read");
        let lines = logged.as_array().cloned().unwrap_or_default();
        let severe = lines.iter().filter(|line| line["level"] == "SEVERE");
        severe.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// As if the phone's battery fell out: nothing is closed in order.
    pub fn kill(mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        end_browser_of(&self.profile);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        end_browser_of(&self.profile);
    }
}

/// A killed driver leaves its browser behind; its processes are known by the folder of their profile.
fn end_browser_of(profile: &Path) {
    let wanted = format!("--user-data-dir={}", profile.display());
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&wanted) {
            let _ = Command::new("kill").arg("-9").arg(process.file_name()).stderr(Stdio::null()).status();
        }
    }
}

/// Where pictures are kept.
fn screens() -> PathBuf {
    let screens = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-screens");
    std::fs::create_dir_all(&screens).expect("a folder for pictures");
    screens
}

fn arguments_of(options: &mut Value) -> &mut Vec<Value> {
    options["args"].as_array_mut().expect("a list")
}

/// "ChromeDriver was started successfully on port 12345."
fn port_of(out: &mut BufReader<ChildStdout>) -> u16 {
    let started = |line: String| line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok();
    out.lines().map_while(Result::ok).find_map(started).expect("the driver says its port")
}

const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Findings as lines; an empty list is a good page.
const LOOK: &str = r"
    const done = arguments[arguments.length - 1];
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const rules = { 'color-contrast-enhanced': { enabled: true }, 'color-contrast': { enabled: false } };
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const findings = wide > 0 ? ['wider than the screen by ' + wide] : [];
    const key = document.body.innerText.match(/\b(page|round|door|board|charts|audit|office|import|export|system)\.[a-z0-9_]+/);
    if (key) findings.push('a sentence is missing: ' + key[0]);
    for (const element of document.querySelectorAll('button, a.button, input, select, .ways a')) {
        const box = element.getBoundingClientRect();
        const target = element.closest('label') ? element.closest('label').getBoundingClientRect() : box;
        if (element.checkVisibility() && element.type !== 'hidden' && Math.max(box.height, target.height) < 47.5) {
            findings.push('too small to tap: ' + element.outerHTML.slice(0, 120));
        }
    }
    const root = document.documentElement;
    // A desk's browser makes everything larger, which is a narrower screen; a phone makes the text larger.
    root.style.fontSize = innerWidth < 600 ? '200%' : '';
    const wider = root.scrollWidth - root.clientWidth;
    if (wider > 0) {
        const edge = root.clientWidth;
        const far = [...document.querySelectorAll('main *')].filter(e => e.checkVisibility() && e.getBoundingClientRect().right > edge + 1);
        findings.push('text twice as large is wider than the screen by ' + wider + ': ' + far.slice(-3).map(e => e.outerHTML.slice(0, 80)).join(' '));
    }
    root.style.fontSize = '';
    axe.run({ runOnly: { type: 'tag', values: tags }, rules }).then(result => {
        for (const violation of result.violations) {
            for (const node of violation.nodes) {
                findings.push(violation.id + ': ' + node.target.join(' ') + ' ' + node.failureSummary);
            }
        }
        done(findings);
    }, error => done([String(error)]));
";

/// ChromeDriver's own command for the console.
#[derive(Debug)]
struct Log;

impl fantoccini::wd::WebDriverCompatibleCommand for Log {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }
    fn method_and_body(&self, _: &url::Url) -> (::http::Method, Option<String>) {
        (::http::Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

/// ChromeDriver's door to the developer tools.
#[derive(Debug)]
struct Tool {
    name: &'static str,
    parameters: Value,
}

impl fantoccini::wd::WebDriverCompatibleCommand for Tool {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }
    fn method_and_body(&self, _: &url::Url) -> (::http::Method, Option<String>) {
        (::http::Method::POST, Some(json!({ "cmd": self.name, "params": self.parameters }).to_string()))
    }
}
