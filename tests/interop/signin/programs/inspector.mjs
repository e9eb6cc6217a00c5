// The Inspector's command line. Arguments: URL, mode (`legacy`, its default, or `modern`). Signs in at each call.

import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";

const [url, mode] = process.argv.slice(2);
const env = { ...process.env, HOME: mkdtempSync("inspector-"), MCP_AUTO_OPEN_ENABLED: "true" };
const era = mode === "legacy" ? [] : ["--protocol-era", mode];
const call = ["--method", "tools/call", "--tool-name", "query_video_status", "--tool-arg", "task_id=sandbox-completed", "frames=none"];
const command = ["node_modules/.bin/mcp-inspector", "--cli", "--transport", "http", "--server-url", url, ...era, "--format", "json", ...call];
const { status, stdout, stderr } = spawnSync(process.execPath, command, { env, encoding: "utf8" });
if (status) throw new Error(stdout + stderr);
console.log(JSON.stringify([{ status: JSON.parse(stdout).result.structuredContent.status }]));
