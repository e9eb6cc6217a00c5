// mcp-remote, the bridge for Claude Desktop. Arguments: URL, mode (not used). Signs in, and uses the token again.

import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { createInterface } from "node:readline";

const [url] = process.argv.slice(2);
const env = { ...process.env, MCP_REMOTE_CONFIG_DIR: mkdtempSync("remote-") };
const initialize = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x", version: "1" } };
const query = { name: "query_video_status", arguments: { task_id: "sandbox-completed", frames: "none" } };

async function use() {
  const bridge = spawn(process.execPath, ["node_modules/mcp-remote/dist/proxy.js", url], { env, stdio: ["pipe", "pipe", "inherit"] });
  const send = (message) => bridge.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  send({ id: 0, method: "initialize", params: initialize });
  for await (const line of createInterface({ input: bridge.stdout })) {
    const { id, result } = JSON.parse(line);
    if (id === 0) {
      send({ method: "notifications/initialized" });
      send({ id: 1, method: "tools/call", params: query });
    } else if (id === 1) {
      bridge.kill();
      return { status: result.structuredContent.status };
    }
  }
  throw new Error("the bridge has ended");
}

console.log(JSON.stringify([await use(), await use()]));
