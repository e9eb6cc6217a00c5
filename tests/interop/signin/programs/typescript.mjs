// The TypeScript SDKs. Arguments: URL, mode (`legacy` or `auto` of the client package, or `sdk`). Signs in, uses the
// token, and loses it.

import { execFileSync } from "node:child_process";

const [url, mode] = process.argv.slice(2);
const CALLBACK = "http://localhost:3031/callback";
const old = mode === "sdk";
const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client");
const { StreamableHTTPClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/streamableHttp.js" : "@modelcontextprotocol/client");
const kept = {};
let opened = 0, answer;

const authProvider = {
  redirectUrl: CALLBACK,
  clientMetadata: { client_name: "TypeScript SDK", redirect_uris: [CALLBACK], token_endpoint_auth_method: "none" },
  state: () => "the-state",
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  redirectToAuthorization: (page) => {
    opened += 1;
    answer = new URL(execFileSync("python3", ["person.py", String(page)], { encoding: "utf8" })).searchParams;
  },
};

async function use() {
  const before = opened;
  const client = new Client({ name: "x", version: "1" }, mode === "auto" ? { versionNegotiation: { mode } } : undefined);
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
  try {
    await client.connect(transport);
  } catch (error) {
    if (!answer) throw error;
    await transport.finishAuth(old ? answer.get("code") : answer);
    answer = undefined;
    return { ...(await use()), opened: opened - before };
  }
  const video = await client.callTool({ name: "query_video_status", arguments: { task_id: "sandbox-completed", frames: "none" } });
  await client.close();
  return { opened: opened - before, status: video.structuredContent.status };
}

const reports = [await use(), await use()];
kept.tokens = { access_token: "scenext-signin-expired", token_type: "Bearer" };
reports.push(await use());
console.log(JSON.stringify(reports));
process.exit(0);
