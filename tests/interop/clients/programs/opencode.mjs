// opencode with a scripted model. Arguments: see agent.mjs.

import { writeFileSync } from "node:fs";
import path from "node:path";

import { FOLDER, address, documented, model, report, run } from "./agent.mjs";

function read({ messages, tools = [] }) {
  const results = messages.filter(({ role }) => role === "tool");
  return { tools: tools.map((tool) => tool.function.name), results: results.map(({ content }) => content) };
}

function write(response, call, number, { model }) {
  const send = (delta, finish_reason = null) => {
    const chunk = { id: `completion-${number}`, object: "chat.completion.chunk", created: 1, model };
    response.write(`data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
  };
  if (call) {
    const used = { name: `${call.server}_${call.name}`, arguments: JSON.stringify(call.input) };
    send({ role: "assistant", tool_calls: [{ index: 0, id: `call_${number}`, type: "function", function: used }] });
  } else {
    send({ role: "assistant", content: "Done." });
  }
  send({}, call ? "tool_calls" : "stop");
  response.write("data: [DONE]\n\n");
}

const port = await model("/v1/chat/completions", read, write);
const settings = JSON.parse(documented[0]);
settings.mcp.keyless = { type: "remote", url: address };
const loopback = {
  npm: "@ai-sdk/openai-compatible",
  options: { apiKey: "none", baseURL: `http://127.0.0.1:${port}/v1` },
  models: { scripted: {} },
};
Object.assign(settings, { autoupdate: false, share: "disabled", model: "loopback/scripted", provider: { loopback } });
writeFileSync(path.join(FOLDER, "opencode.json"), JSON.stringify(settings));
await run("opencode", ["run", "Make a video."], {
  OPENCODE_DISABLE_AUTOUPDATE: "1",
  OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
  OPENCODE_DISABLE_MODELS_FETCH: "1",
});
report();
