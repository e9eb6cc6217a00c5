// Codex with a scripted model. Arguments: see agent.mjs.

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

import { HOME, KEY, address, documented, model, report, run } from "./agent.mjs";

function read({ input, tools }) {
  const namespaces = tools.filter(({ type }) => type === "namespace");
  const outputs = input.filter(({ type }) => type === "function_call_output").map(({ output }) => output);
  return {
    tools: namespaces.flatMap(({ name, tools }) => tools.map((tool) => `${name}__${tool.name}`)),
    results: outputs.map((output) => (Array.isArray(output) ? output.map(({ text }) => text).join("\n") : output)),
  };
}

function write(response, call, number) {
  const send = (type, data) => response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  const id = `response_${number}`;
  let item = { type: "message", role: "assistant", content: [{ type: "output_text", text: "Done." }] };
  if (call) {
    const used = { namespace: `mcp__${call.server}`, name: call.name, arguments: JSON.stringify(call.input) };
    item = { type: "function_call", call_id: `call_${number}`, ...used };
  }
  send("response.created", { response: { id } });
  send("response.output_item.done", { item });
  send("response.completed", { response: { id, usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 } } });
}

const port = await model("/v1/responses", read, write);
// `codex exec` cannot ask a user for approval, which a tool needs that is not read-only.
const [servers] = documented;
const settings = `
model = "scripted"
model_provider = "loopback"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.loopback]
name = "loopback"
base_url = "http://127.0.0.1:${port}/v1"
wire_api = "responses"

${servers}
default_tools_approval_mode = "approve"

[mcp_servers.keyless]
url = "${address}"
default_tools_approval_mode = "approve"
`;
mkdirSync(path.join(HOME, ".codex"));
writeFileSync(path.join(HOME, ".codex", "config.toml"), settings);
await run("codex", ["exec", "--skip-git-repo-check", "Make a video."], { SCENEXT_KEY: KEY });
report();
