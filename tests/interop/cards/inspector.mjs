// The card in the MCP Inspector's web page, used as a person does: connect, open the app, enter a question, watch. It fails
// on a console error or a violation of the policy. Arguments: the URL of the page, with its token; the era that the
// Inspector speaks.

import assert from "node:assert/strict";

import { chromium } from "playwright-core";

import { until } from "./host.mjs";

const [address, era] = process.argv.slice(2);
const FONTS = "https://fonts.googleapis.com/"; // of the Inspector's own page; no request leaves this machine
const TIMEOUT = 120000; // milliseconds; a job of the sandbox takes a minute

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ locale: "en-GB", viewport: { width: 1300, height: 1000 } });
page.setDefaultTimeout(60000);
const faults = [];
page.on("pageerror", (error) => faults.push(String(error)));
page.on("console", (message) => {
  const { url } = message.location();
  if (message.type() === "error" && !url.startsWith(FONTS)) faults.push(`${message.text()} ${url}`);
});
await page.route(/^https?:\/\/(?!127\.0\.0\.1[:/])/, (route) => {
  if (!route.request().url().startsWith(FONTS)) faults.push(`requested ${route.request().url()}`);
  return route.abort();
});

async function story() {
  await page.goto(address);
  await page.getByLabel(/^Connect or disconnect/).click({ force: true }); // another element covers the switch
  await page.waitForSelector('[data-testid="connection-status"][data-status="connected"]');
  await page.getByText("Apps", { exact: true }).first().click();
  await page.getByText("MCP Apps (1)").waitFor();
  await page.getByText("Generate a teaching video").first().click();
  await page.getByLabel("question", { exact: true }).fill("Why is the sky blue?");
  await page.getByRole("button", { name: "Open App" }).click();
  await page.waitForSelector('[data-app-status="ready"]');
  await page.getByText("Protocol", { exact: true }).click();
  await page.getByText(new RegExp(`^${era}$`, "i")).waitFor();

  const card = page.frames().at(-1);
  assert.equal(card.url(), "about:srcdoc");
  const state = (name) => until(name, () => card.evaluate((wanted) =>
    document.getElementById("job").dataset.state === wanted, name), TIMEOUT);
  await state("making");
  const text = await card.evaluate(() => document.body.innerText);
  assert.match(text, /^Why is the sky blue\?\s+Making your video started (just now|\d0 s ago)\s+One minute in the sandbox/);
  const { width, height } = await (await card.frameElement()).boundingBox();
  assert.ok(width > 200 && height > (width * 9) / 16 - 40, `${width} x ${height}`);
  await until("a frame", () => card.evaluate(() => document.images[0]?.naturalWidth > 0), TIMEOUT);
  await state("ready");
  const { hidden, src } = await card.evaluate(() => {
    const video = document.querySelector("video");
    return { hidden: video.hidden, src: video.src };
  });
  assert.equal(hidden, false);
  assert.match(src, /^https?:\/\/.+\.mp4/);
  await card.evaluate(() => document.querySelector("video").play());
  await until("the video plays", () => card.evaluate(() => document.querySelector("video").currentTime > 1));
  await card.waitForSelector('button:text-is("Open video")');
}

let failed = 0;
try {
  await story();
  assert.deepEqual(faults, []);
} catch (error) {
  failed = 1;
  console.log(error.stack, faults);
}
await browser.close();
process.exit(failed);
