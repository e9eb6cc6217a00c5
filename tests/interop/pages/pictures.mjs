// Take the pictures of the page and of the card. Arguments: the port of the service, which runs in the sandbox, and the
// folder for the pictures.

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { chromium } from "playwright-core";

const [port, folder] = process.argv.slice(2);
const START = "http://127.0.0.1:8000"; // the address in the README
const TIMEOUT = 60_000; // milliseconds; a frame of a new job appears every 10 seconds
const FRAMES = 2; // of the video that is being made
const PAGE = { viewport: { width: 1120, height: 740 }, deviceScaleFactor: 0.7 }; // docs/connect.md shows it small
const CARD_WIDTH = 520; // pixels
const LANGUAGES = [
  { language: "en", ending: "", question: "Why is the sky blue?" },
  { language: "zh", ending: ".zh", question: "天空为什么是蓝色的？" },
];

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", `--host-resolver-rules=MAP 127.0.0.1:8000 127.0.0.1:${port}`],
});

const ask = async (method, params) => {
  const response = await fetch(`http://127.0.0.1:${port}/mcp`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: "Bearer sandbox-key" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  return (await response.json()).result;
};

// Return while the video plays, about `seconds` after its start, once Chromium has hidden the controls.
const playing = async (frame, seconds) => {
  await frame.evaluate(async (time) => {
    const video = document.querySelector("#job video");
    document.activeElement.blur();
    video.muted = true; // otherwise it would need a click
    video.currentTime = time;
    await video.play();
  }, seconds - 4);
  await frame.waitForFunction((time) => document.querySelector("#job video").currentTime > time, seconds, { timeout: TIMEOUT });
};

// The page of a host, on loopback like the service: Chromium loads nothing from loopback into a page from elsewhere.
const HOST = `<!doctype html><title>Host</title><style>
  body { margin: 0; padding: 12px; width: max-content; display: flex; gap: 12px; align-items: start }
  iframe { width: ${CARD_WIDTH}px; border: 1px solid #d1d9e0; border-radius: 12px }
</style>`;
const server = createServer((_, response) => response.setHeader("Content-Type", "text/html").end(HOST));
await once(server.listen(0, "127.0.0.1"), "listening");

const save = (name, bytes) => writeFileSync(join(folder, name), bytes);

async function thePage({ language, ending }) {
  const page = await browser.newPage(PAGE);
  await page.goto(`${START}/?lang=${language}`);
  await page.focus("#play");
  await page.keyboard.press("Enter"); // a pointer above the video would show its controls
  await page.waitForSelector("#job[data-state=ready]");
  await playing(page, 9);
  save(`page${ending}.png`, await page.screenshot());
  await page.$eval("#client-vscode", (radio) => radio.click());
  save(`try${ending}.png`, await page.locator("#connect > .wide").screenshot());
  await page.close();
}

// Runs in the page of a host: a frame with the card, which follows a job.
function host({ html, task, question, locale }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  const post = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
  addEventListener("message", async ({ source, data }) => {
    if (source !== frame.contentWindow) return;
    if (data.method === "ui/notifications/size-changed") frame.style.height = `${data.params.height}px`;
    if (data.method === "ui/notifications/initialized") {
      post({ method: "ui/notifications/tool-input", params: { arguments: { question } } });
      post({ method: "ui/notifications/tool-result", params: { structuredContent: { task_id: task }, content: [] } });
    }
    if (data.id === undefined) return;
    if (data.method === "tools/call") return post({ id: data.id, result: await window.call(data.params) });
    const styles = { variables: { "--font-sans": "Inter, sans-serif" } };
    const hostContext = { theme: "light", locale, styles, displayMode: "inline", availableDisplayModes: ["inline", "fullscreen"] };
    post({ id: data.id, result: { hostCapabilities: { serverTools: {}, openLinks: {} }, hostContext } });
  });
  frame.srcdoc = html;
  document.body.append(frame);
}

async function theCard({ language, ending, question }) {
  const { contents: [card] } = await ask("resources/read", { uri: "ui://scenext/job.html" });
  const page = await browser.newPage({ viewport: { width: 2 * CARD_WIDTH + 60, height: 600 } });
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.exposeFunction("call", (params) => ask("tools/call", params));
  const started = await ask("tools/call", { name: "gen_video", arguments: { question } });
  for (const task of [started.structuredContent.task_id, "sandbox-completed"]) {
    await page.evaluate(host, { html: card.text, task, question, locale: language });
  }
  const [, making, ready] = page.frames();
  await ready.waitForSelector("#job[data-state=ready]");
  await making.waitForFunction((count) => document.querySelector("#job .time").textContent.startsWith(count), FRAMES, { timeout: TIMEOUT });
  await playing(ready, 13.5);
  save(`card${ending}.png`, await page.locator("body").screenshot());
  await page.close();
}

for (const language of LANGUAGES) {
  await thePage(language);
  await theCard(language);
}
await browser.close();
server.close();
