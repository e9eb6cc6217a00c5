// Gemini CLI with a scripted model. Arguments: see agent.mjs.

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

import { HOME, address, documented, model, report, run } from "./agent.mjs";

function read({ contents = [], tools = [] }) {
  const declared = tools.flatMap(({ functionDeclarations = [] }) => functionDeclarations);
  const responses = contents.flatMap(({ parts }) => parts).filter(({ functionResponse }) => functionResponse);
  return {
    tools: declared.map(({ name }) => name),
    results: responses.map(({ functionResponse: { response } }) => response.output ?? response.error),
  };
}

function write(response, call, number) {
  const used = call && { name: `mcp_${call.server}_${call.name}`, args: call.input };
  const part = used ? { functionCall: used } : { text: "Done." };
  const candidate = { index: 0, content: { role: "model", parts: [part] }, finishReason: "STOP" };
  const usageMetadata = { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 };
  const answer = { candidates: [candidate], usageMetadata, responseId: `response-${number}` };
  response.write(`data: ${JSON.stringify(answer)}\n\n`);
}

const port = await model(":streamGenerateContent", read, write);
const settings = JSON.parse(documented[0]);
settings.mcpServers.keyless = { type: "http", url: address };
Object.assign(settings, {
  general: { enableAutoUpdate: false, enableAutoUpdateNotification: false },
  privacy: { usageStatisticsEnabled: false },
  security: { auth: { selectedType: "gemini-api-key" } },
  telemetry: { enabled: false },
});
mkdirSync(path.join(HOME, ".gemini"));
writeFileSync(path.join(HOME, ".gemini", "settings.json"), JSON.stringify(settings));
// Without `--model` it first asks a model which model to use.
await run("gemini", ["--prompt", "Make a video.", "--model", "gemini-2.5-flash", "--yolo"], {
  GEMINI_API_KEY: "none",
  GEMINI_CLI_TRUST_WORKSPACE: "true",
  GOOGLE_GEMINI_BASE_URL: `http://127.0.0.1:${port}`,
});
report();
