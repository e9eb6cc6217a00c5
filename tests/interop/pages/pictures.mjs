// Takes the pictures of the page and of the card. Arguments: the port of the service, which runs in the sandbox; the
// folder for the pictures.

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { chromium } from "playwright-core";

const [port, folder] = process.argv.slice(2);
const START = "http://127.0.0.1:8000"; // as the README has it
const PATIENCE = 15000; // milliseconds
const STATES = { "sandbox-in-progress": "running", "sandbox-completed": "ready" };

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", `--host-resolver-rules=MAP 127.0.0.1:8000 127.0.0.1:${port}`],
});

const ask = async (method, params) => {
  const response = await fetch(`http://127.0.0.1:${port}/mcp`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: "Bearer any-key-will-do" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  return (await response.json()).result;
};

// Return once every picture, and the film, is there or has failed.
const loaded = async (frame) => {
  await frame.waitForFunction(ready, null, { timeout: PATIENCE });
  await frame.waitForTimeout(700); // for what the film shows while it loads, and for the last height of a card
};
const ready = () => {
  const film = document.querySelector("video");
  const still = [...document.images].filter((one) => !one.complete);
  return !still.length && (!film?.src || film.error || (film.readyState > 1 && film.networkState !== film.NETWORK_LOADING));
};

// The page of a host. On loopback, as the service: Chromium lets no page from elsewhere load anything from there.
const HOST = `<!doctype html><title>Host</title><style>
  body { margin: 0; padding: 12px; width: max-content; display: flex; gap: 12px; align-items: start }
  iframe { width: 380px; border: 1px solid #d1d9e0; border-radius: 10px }
</style>`;
const server = createServer((_, response) => response.setHeader("Content-Type", "text/html").end(HOST));
await once(server.listen(0, "127.0.0.1"), "listening");

const save = (name, bytes) => writeFileSync(join(folder, name), bytes);

async function thePage(language, ending) {
  const page = await browser.newPage({ viewport: { width: 1000, height: 860 } });
  await page.goto(`${START}/?lang=${language}`);
  save(`page${ending}.png`, await page.screenshot({ animations: "disabled" }));
  await page.click("#go");
  await page.waitForSelector("#job[data-state=ready]");
  await loaded(page);
  await page.evaluate(() => {
    document.activeElement.blur();
    document.getElementById("try-heading").scrollIntoView();
    scrollBy(0, -12);
  });
  save(`try${ending}.png`, await page.screenshot({ animations: "disabled" }));
  await page.close();
}

// Runs in the page of a host: a frame with the card, which follows a job.
function host({ html, task, locale }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  const post = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
  addEventListener("message", async ({ source, data }) => {
    if (source !== frame.contentWindow) return;
    if (data.method === "ui/notifications/size-changed") frame.style.height = `${data.params.height}px`;
    if (data.method === "ui/notifications/initialized") {
      const structuredContent = { task_id: task };
      post({ method: "ui/notifications/tool-result", params: { structuredContent, content: [] } });
    }
    if (data.id === undefined) return;
    if (data.method === "tools/call") return post({ id: data.id, result: await window.call(data.params) });
    const hostContext = { theme: "light", locale };
    post({ id: data.id, result: { hostCapabilities: { serverTools: {} }, hostContext } });
  });
  frame.srcdoc = html;
  document.body.append(frame);
}

async function theCard(locale, ending) {
  const { contents: [card] } = await ask("resources/read", { uri: "ui://scenext/job.html" });
  const page = await browser.newPage({ viewport: { width: 820, height: 800 } });
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.exposeFunction("call", (params) => ask("tools/call", params));
  for (const [task, state] of Object.entries(STATES)) {
    await page.evaluate(host, { html: card.text, task, locale });
    const frame = page.frames().at(-1);
    await frame.waitForSelector(`#job[data-state=${state}]`);
    await loaded(frame);
  }
  save(`card${ending}.png`, await page.locator("body").screenshot({ animations: "disabled" }));
  await page.close();
}

for (const [language, locale, ending] of [["en", "en", ""], ["zh", "zh-CN", ".zh"]]) {
  await thePage(language, ending);
  await theCard(locale, ending);
}
await browser.close();
server.close();
