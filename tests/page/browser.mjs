// A headless browser that does what it is told: a JSON object per line on standard input, one per answer on standard output.
//
// node browser.mjs FOLDER     (FOLDER: what `tests/servers/fetch chromium` made)
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const folder = process.argv[2];
const require = createRequire(`${folder}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: `${folder}/bin/chromium`, args });
let page = null;
// What the console, a failed request or the content security policy had to say.
let said = [];

const actions = {
  // A new window; `scripts: false` is a browser without JavaScript.
  async open({ url, width = 1280, height = 900, dark = false, scripts = true, password }) {
    await page?.context().close();
    const httpCredentials = password ? { username: "anybody", password } : undefined;
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? "dark" : "light", javaScriptEnabled: scripts, httpCredentials });
    page = await context.newPage();
    page.setDefaultTimeout(30_000);
    said = [];
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && said.push(message.text()));
    page.on("pageerror", (error) => said.push(String(error)));
    page.on("request", (request) => request.url().startsWith(new URL(url).origin) || said.push(`a request elsewhere: ${request.url()}`));
    const answer = await page.goto(url);
    return { status: answer.status(), title: await page.title() };
  },
  async text({ selector = "body" }) {
    return { text: await page.locator(selector).first().innerText() };
  },
  // Until `words` stand in it.
  async wait({ selector = "body", words }) {
    await page.locator(selector).filter({ hasText: words }).first().waitFor({ state: "attached" });
    return {};
  },
  async run({ script }) {
    return { value: await page.evaluate(script) };
  },
  async press({ key }) {
    await page.keyboard.press(key);
    return {};
  },
  async said() {
    return { said };
  },
  // Injected behind the policy's back; it loads nothing.
  async axe() {
    if (!(await page.evaluate("typeof axe === 'object'"))) {
      const devtools = await page.context().newCDPSession(page);
      await devtools.send("Runtime.evaluate", { expression: axe });
    }
    const found = await page.evaluate(`axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })`);
    const violations = found.violations.map((v) => `${v.id} (${v.impact}): ${v.help}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join(" | ")}`);
    return { violations, passes: found.passes.length };
  },
  async screenshot({ path, full = true }) {
    await page.screenshot({ path, fullPage: full });
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: action, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = await actions[action](rest);
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
