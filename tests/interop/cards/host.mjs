// A host of MCP Apps, as little of one as the card needs: a page with the card in a frame that is sandboxed as hosts do
// it, under the policy that the card declares. What the card calls, a scenario answers, or the real service.

import { once } from "node:events";
import { createServer } from "node:http";

import { chromium } from "playwright-core";

export const MEDIA = "https://oss.scenext.cn"; // of what a scenario makes up; nothing leaves this machine
const PAGE = "<!doctype html><title>Host</title>";
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
const PATIENCE = 8000; // milliseconds

// What runs in the host's page.
function host({ address, settings }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.style.cssText = `border: 0; width: ${settings.width}px; height: 100px`;
  const heard = (window.heard = []);
  const post = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
  window.post = post;
  addEventListener("message", async ({ source, data }) => {
    if (source !== frame.contentWindow) return;
    heard.push(data);
    if (settings.deaf || data.method === undefined) return;
    if (data.method === "ui/notifications/size-changed") frame.style.height = `${data.params.height}px`;
    if (data.id === undefined) return;
    const answer = await window.answer(data);
    if (answer) post({ id: data.id, ...answer });
  });
  frame.src = address;
  document.body.append(frame);
}

function policy(csp) {
  const from = csp.resourceDomains.join(" ");
  return (
    `default-src 'none'; script-src 'unsafe-inline' ${from}; style-src 'unsafe-inline' ${from}; img-src ${from};` +
    ` media-src ${from}; font-src ${from}; connect-src 'none'; base-uri 'none'; form-action 'none'; object-src 'none'`
  );
}

export async function until(what, look, milliseconds = PATIENCE) {
  const end = Date.now() + milliseconds;
  while (Date.now() < end) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  throw new Error(`it did not come to this: ${what}`);
}

export class Service {
  constructor(url) {
    this.url = url;
  }

  async ask(method, params) {
    const response = await fetch(this.url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: "Bearer any-key-will-do" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    return (await response.json()).result;
  }

  call(name, args) {
    return this.ask("tools/call", { name, arguments: args });
  }
}

export class Hosts {
  async start(service) {
    const { tools } = await service.ask("tools/list", {});
    const uri = tools.find((tool) => tool.name === "gen_video")._meta.ui.resourceUri;
    const [card] = (await service.ask("resources/read", { uri })).contents;
    this.sandbox = new URL("/sandbox/", service.url).href;
    // The card comes from where the page does; its sandbox makes its origin opaque all the same. That is loopback, where
    // the service is: Chromium lets no page from elsewhere load anything from there.
    const server = createServer(({ url }, response) => {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      if (url !== "/card") return response.end(PAGE);
      return response.setHeader("Content-Security-Policy", policy(card._meta.ui.csp)).end(card.text);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    this.page = `http://127.0.0.1:${server.address().port}/`;
    this.browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
    this.film = Buffer.from(await this.record(), "base64");
  }

  // Make a film that Chromium can play.
  async record() {
    const page = await this.browser.newPage();
    const film = await page.evaluate(async () => {
      const canvas = document.createElement("canvas");
      const drawing = canvas.getContext("2d");
      const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: "video/webm" });
      const parts = [];
      recorder.ondataavailable = ({ data }) => parts.push(data);
      recorder.start();
      for (let n = 0; n < 10; n++) {
        drawing.fillRect(n * 10, 0, 9, 9);
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
      await new Promise((resolve) => {
        recorder.onstop = resolve;
        recorder.stop();
      });
      const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
      return btoa(String.fromCharCode(...bytes));
    });
    await page.close();
    return film;
  }

  // Open the card in a host. `tool` answers a call of a tool: {result}, {error}, or nothing.
  async open({ tool = () => undefined, methods = {}, can = { serverTools: {}, openLinks: {} }, context = {}, ...rest }) {
    const settings = { width: 600, deaf: false, clock: false, gone: () => false, init: () => {}, ...rest };
    const browsing = await this.browser.newContext({ locale: "en-GB", viewport: { width: 900, height: 800 } });
    const page = await browsing.newPage();
    const seen = { calls: [], problems: [], links: [] };
    page.on("console", (message) => message.type() === "error" && seen.problems.push(message.text()));
    page.on("pageerror", (error) => seen.problems.push(String(error)));
    await browsing.route("**/*", (route) => {
      const url = route.request().url();
      if (url.startsWith(this.page) || url.startsWith(this.sandbox)) return route.continue();
      if (!url.startsWith(MEDIA)) {
        seen.problems.push(`asked for ${url}`);
        return route.abort();
      }
      seen.links.push(url);
      if (settings.gone(url)) return route.fulfill({ status: 403, body: "expired" });
      if (url.includes(".png")) return route.fulfill({ contentType: "image/png", body: Buffer.from(PIXEL, "base64") });
      return route.fulfill({ contentType: "video/webm", body: this.film });
    });
    if (settings.clock) await page.clock.install();
    await page.addInitScript(settings.init);
    await page.goto(this.page);
    await page.exposeFunction("answer", async (message) => {
      if (message.method in methods) return methods[message.method](message.params);
      if (message.method === "ui/initialize") {
        const hostInfo = { name: "host", version: "1" };
        const result = { protocolVersion: "2026-01-26", hostInfo, hostCapabilities: can, hostContext: context };
        return { result };
      }
      if (message.method !== "tools/call") return { result: {} };
      seen.calls.push(message.params);
      return tool(message.params, seen.calls.length);
    });
    const given = { width: settings.width, deaf: settings.deaf };
    await page.evaluate(host, { address: "/card", settings: given });
    await until("the card is loaded", () => page.frames()[1]?.evaluate(() =>
      location.pathname === "/card" && document.readyState === "complete"));
    return new Host(browsing, page, seen);
  }
}

class Host {
  constructor(browsing, page, seen) {
    Object.assign(this, { browsing, page, seen, card: page.frames()[1] });
  }

  post(message) {
    return this.page.evaluate((sent) => window.post(sent), message);
  }

  notify(method, params) {
    return this.post({ method, params });
  }

  // Hand the card the result of gen_video, as soon as it can take one.
  async result(result) {
    await this.heard("ui/notifications/initialized");
    await this.notify("ui/notifications/tool-result", result);
  }

  messages(method) {
    return this.page.evaluate((name) => window.heard.filter((one) => one.method === name), method);
  }

  heard(method, times = 1) {
    return until(`${times} × ${method}`, async () => (await this.messages(method)).length >= times);
  }

  text() {
    return this.card.evaluate(() => document.body.innerText);
  }

  says(words, milliseconds) {
    return until(`“${words}”`, async () => (await this.text()).includes(words), milliseconds);
  }

  state(name, milliseconds) {
    const look = () => this.card.evaluate(() => document.getElementById("job").dataset.state);
    return until(`the state ${name}`, async () => (await look()) === name, milliseconds);
  }

  async close() {
    await this.browsing.close();
  }
}
