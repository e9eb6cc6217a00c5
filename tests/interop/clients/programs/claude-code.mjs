// Claude Code with a scripted model. Arguments: see agent.mjs.

import { address, documented, model, report, run } from "./agent.mjs";

// A request names every MCP tool, but has its schema only once the model has called ToolSearch for it.
function read(request) {
  const parts = request.messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  const used = Object.fromEntries(parts.map(({ id, name }) => [id, name]));
  const results = parts.filter(({ tool_use_id }) => used[tool_use_id]?.startsWith("mcp__"));
  const tools = new Set(JSON.stringify(request).match(/mcp__scenext__\w+/g));
  return { tools: [...tools], results: results.map(({ content }) => content[0].text ?? content) };
}

function write(response, call, number, { model, tools = [] }) {
  const send = (type, data) => response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  const usage = { input_tokens: 1, output_tokens: 1 };
  const message = { id: "msg_1", type: "message", role: "assistant", model, content: [], stop_reason: null, usage };
  let content_block = { type: "text", text: "" };
  let delta = { type: "text_delta", text: "Done." };
  if (call) {
    const name = `mcp__${call.server}__${call.name}`;
    const loaded = tools.some((tool) => tool.name === name);
    const [used, input] = loaded ? [name, call.input] : ["ToolSearch", { query: `select:${name}`, max_results: 1 }];
    content_block = { type: "tool_use", id: `toolu_${number}_${loaded}`, name: used, input: {} };
    delta = { type: "input_json_delta", partial_json: JSON.stringify(input) };
  }
  send("message_start", { message });
  send("content_block_start", { index: 0, content_block });
  send("content_block_delta", { index: 0, delta });
  send("content_block_stop", { index: 0 });
  send("message_delta", { delta: { stop_reason: call ? "tool_use" : "end_turn" }, usage });
  send("message_stop", {});
}

const port = await model("/v1/messages", read, write);
const env = {
  ANTHROPIC_API_KEY: "none",
  ANTHROPIC_BASE_URL: `http://127.0.0.1:${port}`,
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  DISABLE_AUTOUPDATER: "1",
  DISABLE_ERROR_REPORTING: "1",
  DISABLE_TELEMETRY: "1",
};
const [command] = documented;
const allowed = "mcp__scenext__*,mcp__keyless__*";
await run("bash", ["-c", command], env);
await run("claude", ["mcp", "add", "--transport", "http", "keyless", address], env);
await run("claude", ["--print", "Make a video.", "--allowedTools", allowed, "--max-turns", "20"], env);
report();
