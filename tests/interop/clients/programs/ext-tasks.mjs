// The client of the Tasks extension, over the TypeScript SDK 2. Arguments: URL, the key's header, its value, mode (not
// used). The package leaves the requests to the host, so this program posts them itself.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { createTaskSessionFromClient, resultFromTaskOutcome } from "@modelcontextprotocol/ext-tasks/client";

const [url, header, key] = process.argv.slice(2);
const clientInfo = { name: "example", version: "1.0.0" };
const clientCapabilities = { extensions: { "io.modelcontextprotocol/tasks": {} } };

async function connect(headers) {
  const client = new Client(clientInfo, { capabilities: clientCapabilities, versionNegotiation: { mode: "auto" } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  const protocolVersion = client.getNegotiatedProtocolVersion();
  const session = createTaskSessionFromClient(client, {
    endpointId: "example",
    rawDispatch: (request) => dispatch(request, { ...headers, "MCP-Protocol-Version": protocolVersion }),
    v2RequestFraming: { protocolVersion, clientInfo, clientCapabilities },
  });
  return { client, session };
}

let requests = 0;
async function dispatch(request, headers) {
  const { method, params } = request;
  const response = await fetch(url, {
    method: "POST",
    headers: {
      ...headers,
      Accept: "application/json, text/event-stream",
      "Content-Type": "application/json",
      "Mcp-Method": method,
      "Mcp-Name": params.taskId ?? params.name,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: ++requests, ...request }),
  });
  const { result, error } = await response.json();
  return error ? { kind: "error", error } : { kind: "result", result };
}

async function generate(session) {
  const execution = await session.callTool("gen_video", { question: "Why is the sky blue?" });
  const { outcome } = await execution.settle();
  return resultFromTaskOutcome(outcome);
}

async function makeVideo() {
  const { client, session } = await connect({ [header]: key });
  const { tools } = await client.listTools();
  const video = (await generate(session)).structuredContent;
  const revision = client.getNegotiatedProtocolVersion();
  await session.close();
  await client.close();
  return {
    revision,
    tools: tools.map((tool) => tool.name),
    task_id: video.task_id,
    status: video.status,
    video: video.result.video_url,
    next: video.next,
    progress: null,
    calls: 1, // of tools; the package polls the task
  };
}

// Call without a key; return what there is to show.
async function forgetKey() {
  const { client, session } = await connect({});
  const result = await generate(session);
  await session.close();
  await client.close();
  return result.isError ? result.content[0].text : "";
}

console.log(JSON.stringify({ ...(await makeVideo()), failure: await forgetKey() }));
