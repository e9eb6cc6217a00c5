// LangChain.js's MCP adapters. Arguments: URL, the key's header, its value, mode (not used).

import { MultiServerMCPClient } from "@langchain/mcp-adapters";

const [url, header, key] = process.argv.slice(2);

// Run a tool as an agent does, and return the message that its model gets.
const call = (tool, args) => tool.invoke({ type: "tool_call", id: "1", name: tool.name, args });

async function connect(headers, onProgress) {
  const scenext = { transport: "http", url, headers };
  const client = new MultiServerMCPClient({ mcpServers: { scenext }, onProgress });
  const tools = Object.fromEntries((await client.getTools()).map((tool) => [tool.name, tool]));
  return { client, tools };
}

async function makeVideo() {
  const progress = [];
  const { client, tools } = await connect({ [header]: key }, ({ message }) => progress.push(message));
  const job = await call(tools.gen_video, { question: "Why is the sky blue?" });
  const { task_id } = structured(job);
  let message;
  let calls = 0;
  do {
    message = await call(tools.query_video_status, { task_id, wait_seconds: 50, frames: "none" });
    calls++;
  } while (structured(message).status === "IN_PROGRESS" && calls < 10);
  const video = structured(message);
  const { transport } = await client.getClient("scenext");
  await client.close();
  return {
    revision: transport.protocolVersion,
    tools: Object.keys(tools),
    task_id,
    status: video.status,
    video: video.result.video_url,
    next: JSON.parse(message.content).structuredContent.next, // the model gets the content, and never the artifact
    progress,
    calls,
  };
}

const structured = ({ artifact }) => artifact.find(({ type }) => type === "mcp_structured_content").data;

// Call without a key; return what there is to show.
async function forgetKey() {
  const { client, tools } = await connect({});
  try {
    await call(tools.gen_video, { question: "Why is the sky blue?" });
    return "";
  } catch (error) {
    return error.message;
  } finally {
    await client.close();
  }
}

console.log(JSON.stringify({ ...(await makeVideo()), failure: await forgetKey() }));
