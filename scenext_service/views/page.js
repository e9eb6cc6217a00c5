// The page at `/`: its own address, links and copies, and a client of the MCP endpoint. `drawJob` is draw.js's.
(() => {
  "use strict";
  const REVISION = "2026-07-28", NO_KEY = "YOUR_API_KEY", QUICK = 5, PAUSE = 30;
  const { placeholder, language, wait, ...say } = document.body.dataset;
  const at = id => document.getElementById(id);
  const make = (tag, text = "", name = "") => Object.assign(document.createElement(tag), { textContent: text, className: name });

  // What is relative to this page must be so without the last slash too.
  const path = location.pathname.replace(/\/*$/, "/").replaceAll("'", "%27");
  if (path !== location.pathname) history.replaceState(null, "", location.origin + path + location.search + location.hash);
  const endpoint = `${location.origin}${path}mcp`;
  const fill = text => text.replaceAll(placeholder, endpoint);
  for (const node of document.querySelectorAll("[data-fill]")) node.textContent = fill(node.textContent);

  for (const link of document.querySelectorAll("[data-link]")) {
    const config = fill(link.dataset.config);
    const bytes = () => btoa(String.fromCharCode(...new TextEncoder().encode(config)));
    link.href = link.dataset.link + encodeURIComponent("base64" in link.dataset ? bytes() : config);
  }
  for (const item of document.querySelectorAll("[data-https]")) item.hidden = location.protocol !== "https:";
  at("buttons").hidden = at("try").hidden = false;

  const copyable = block => {
    const source = block.querySelector("pre"), button = at("copy").content.firstElementChild.cloneNode(true);
    const word = button.textContent;
    const name = text => button.setAttribute("aria-label", `${text}: ${source.getAttribute("aria-label")}`);
    name(word);
    button.onclick = async () => {
      let done = say.copied;
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch { // no clipboard where the page came over plain HTTP
        getSelection().selectAllChildren(source);
        done = say.byhand;
      }
      at("status").textContent = button.textContent = done;
      name(done);
      setTimeout(() => { button.textContent = word; name(word); }, 4000);
    };
    block.append(button);
  };
  document.querySelectorAll(".block").forEach(copyable);

  const unfold = () => {
    const chosen = location.hash.length > 1 && at(decodeURIComponent(location.hash.slice(1)));
    if (chosen?.tagName === "DETAILS") chosen.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();

  // What is told to people, not a fault of the page.
  class Failure extends Error {}

  let key = "", count = 0, busy = false, asking = false, following = null;
  const clean = value => typeof value === "string" && key.length > 7 ? value.replaceAll(key, NO_KEY) : value;
  const parse = text => {
    try {
      return JSON.parse(text, (_, value) => clean(value));
    } catch {
      return undefined;
    }
  };
  const pretty = value => JSON.stringify(value, null, 2);
  // Texts for a model say everything in English, and then in Chinese.
  const half = (text, between) => {
    const parts = String(text ?? "").split(between);
    return parts[language === "zh" ? parts.length - 1 : 0];
  };

  // Yields the data of each event of a stream.
  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", data = [], skip = false;
    for (let part; !(part = await reader.read()).done;) {
      rest += part.value;
      if (skip && rest) {
        rest = rest.replace(/^\n/, ""); // the other half of a line end
        skip = false;
      }
      for (let end; (end = /\r\n|\r|\n/.exec(rest));) {
        const line = rest.slice(0, end.index);
        rest = rest.slice(end.index + end[0].length);
        skip = end[0] === "\r" && !rest;
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        else if (!line && data.length) yield data.splice(0).join("\n");
      }
    }
  }

  // Shows one exchange; the key never gets here.
  const exchange = (name, headers, body) => {
    const box = make("details", "", "exchange"), title = `${count} · ${name}`;
    const summary = make("summary", title);
    const part = (heading, text, copied) => {
      const block = make("div", "", "block"), pre = make("pre", text);
      pre.tabIndex = 0;
      pre.setAttribute("role", "region");
      pre.setAttribute("aria-label", `${heading} #${count}`);
      block.append(pre);
      if (copied) copyable(block);
      box.append(make("h4", heading), block);
      return pre;
    };
    box.append(summary);
    const shown = Object.entries({ ...headers, ...headers.Authorization && { Authorization: `Bearer ${NO_KEY}` } });
    const lines = shown.map(([field, value]) => `${field}: ${value}`), json = clean(body);
    const quoted = text => `'${text.replaceAll("'", "'\\''")}'`;
    part(say.sent, `POST ${path}mcp\n${lines.join("\n")}\n\n${pretty(parse(json))}`);
    part("curl", [`curl -sN ${quoted(endpoint)}`, ...lines.map(line => `-H ${quoted(line)}`), `-d ${quoted(json)}`].join(" \\\n  "), true);
    if (count === 1) at("wire").replaceChildren();
    at("wire").querySelector("[open]")?.removeAttribute("open");
    box.open = true;
    at("wire").prepend(box);
    if (at("wire").children.length > 20) at("wire").lastElementChild.remove();
    let steps;
    const began = performance.now();
    return {
      step: message => { (steps ??= part(say.steps, "")).textContent += `${JSON.stringify(message)}\n`; },
      end: (status, text) => {
        summary.textContent = `${title} · ${status} · ${((performance.now() - began) / 1000).toFixed(1)} s`;
        part(say.got, text);
      },
    };
  };

  // Calls a tool as any client does; returns its object. Throws a Failure where there is none.
  async function call(name, args, seconds, told = () => {}) {
    const id = ++count, prefix = "io.modelcontextprotocol/";
    const meta = { [`${prefix}protocolVersion`]: REVISION, [`${prefix}clientCapabilities`]: {}, progressToken: id };
    const body = JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: args, _meta: meta } });
    const headers = {
      "Content-Type": "application/json", Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": REVISION, "Mcp-Method": "tools/call", "Mcp-Name": name,
      ...key && { Authorization: `Bearer ${key}` },
    };
    const wire = exchange(name, headers, body), control = following = new AbortController();
    const timer = setTimeout(() => control.abort(), seconds * 1000);
    let status = "–", text = "", answer;
    try {
      const response = await fetch(endpoint, {
        method: "POST", headers, body, signal: control.signal, credentials: "omit", cache: "no-store",
        redirect: "error", referrerPolicy: "no-referrer",
      });
      status = response.status;
      if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        for await (const data of events(response.body)) {
          const message = parse(data);
          if (message?.id === id) answer = message;
          else if (message) {
            wire.step(message);
            told(message.params?.message);
          }
        }
      } else {
        text = await response.text();
        answer = parse(text);
      }
    } catch {
      answer = undefined;
      status = control.signal.aborted ? "–" : status;
      text = "";
    } finally {
      clearTimeout(timer);
    }
    wire.end(status, answer ? pretty(answer) : clean(text.slice(0, 2000)) || say.net);
    if (control.stopped) throw new Failure(say.stopped);
    const why = answer?.error?.message;
    if (status === 403 && why) throw new Failure(`${why}\n${say.origin} SCENEXT_ALLOWED_ORIGINS=${location.origin}`);
    if (why) throw new Failure(why);
    if (!answer?.result) throw Object.assign(new Failure(text ? `${say.proxy} ${status}.` : say.net), { lost: true });
    if (answer.result.isError) throw new Failure(half(answer.result.content?.[0]?.text, "\n\n"));
    return answer.result.structuredContent;
  }

  const rest = seconds => new Promise(over => {
    const timer = setTimeout(over, seconds * 1000);
    following.signal.addEventListener("abort", () => { clearTimeout(timer); over(); });
  });
  const seen = () => document.hidden
    ? new Promise(over => document.addEventListener("visibilitychange", over, { once: true })) : undefined;

  // Draws a job until it has ended; `began` is known of those that were started here.
  async function follow(task, began) {
    const root = at("job"), longest = Number(wait);
    let job = { task_id: task };
    const draw = more => {
      const elapsed = began && (Date.now() - began) / 1000, refresh = () => run(() => follow(task, began));
      drawJob(root, job, { language, elapsed, refresh, live: false, ...more });
      const state = root.querySelector(".job-word").textContent;
      if (at("status").textContent !== state) Object.assign(at("status"), { textContent: state, className: "spoken" });
    };
    const again = { task_id: task, ...longest && { wait_seconds: longest }, frames: "all" };
    const tell = text => { at("news").textContent = half(text, " / "); draw(); };
    at("stop").hidden = false;
    try {
      for (let args = { task_id: task }; ; args = again) {
        const asked = Date.now();
        job = await call("query_video_status", args, (args.wait_seconds ?? 0) + 45, tell);
        draw();
        if (["COMPLETED", "FAILED"].includes(job?.status)) return;
        if (args === again && Date.now() - asked < QUICK * 1000) await rest(PAUSE);
        if (following.stopped) throw new Failure(say.stopped);
        await seen();
      }
    } catch (failure) {
      if (failure.lost && job?.status) draw({ lost: () => run(() => follow(task, began)) });
      throw failure;
    }
  }

  async function run(what) {
    if (busy) return;
    busy = true;
    at("go").setAttribute("aria-disabled", "true");
    at("status").className = "";
    at("status").textContent = say.working;
    try {
      await what();
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      at("status").className = "failed";
      at("status").textContent = failure.message;
    } finally {
      busy = false;
      at("news").textContent = "";
      at("stop").hidden = true;
      at("go").removeAttribute("aria-disabled");
    }
  }

  const sure = () => new Promise(over => {
    const dialog = at("sure");
    asking = true;
    dialog.returnValue = "";
    dialog.onclose = () => { asking = false; over(dialog.returnValue === "yes"); };
    dialog.showModal();
  });
  at("yes").onclick = () => at("sure").close("yes");
  at("no").onclick = () => at("sure").close();

  const field = (name, wrong) => {
    at(name).setAttribute("aria-invalid", String(!!wrong));
    at(`${name}-wrong`).textContent = wrong || "";
    if (wrong) at(name).focus();
    return !wrong;
  };
  const start = async () => {
    if (busy || asking) return;
    const typed = at("key").value.trim(), task = at("task").value.trim(), question = at("question").value.trim();
    const makes = at("make").checked;
    const right = field("task", !makes && !task && say.notask) && field("question", makes && !question && say.noquestion);
    if (!field("key", /[^\x21-\x7e]/.test(typed) && say.badkey) || !right) return;
    if (makes && !await sure()) return;
    key = typed;
    at("job").replaceChildren();
    await run(async () => {
      if (!makes) return follow(task);
      const began = Date.now();
      const job = await call("gen_video", { question }, 90);
      at("task").value = job.task_id;
      return follow(String(job.task_id), began);
    });
  };
  at("go").onclick = start;
  for (const name of ["key", "task"]) at(name).onkeydown = event => { if (event.key === "Enter") start(); };
  at("stop").onclick = () => { following.stopped = true; following.abort(); };
  const choose = () => { at("making").hidden = !at("make").checked; at("looking").hidden = at("make").checked; };
  at("look").onchange = at("make").onchange = choose;
  choose();
})();
