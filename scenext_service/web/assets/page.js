/* The page at `/`: fill in its URL, build the links and copy buttons, and run a client of the MCP endpoint. `drawJob` is
   from draw.js. */
(() => {
  "use strict";
  const REVISION = "2026-07-28", NO_KEY = "YOUR_API_KEY", STORED = "scenext-video";
  const { placeholder, language, wait, sandbox, keyed, ...texts } = document.body.dataset;
  /* In seconds. A sandbox video is ready in a minute, so its page waits less and shows each frame when it appears. */
  const WAIT = Math.min(Number(wait), sandbox === undefined ? 25 : 4), PAUSE = sandbox === undefined ? 5 : 1;
  const RETRY_PAUSE = 5, LONG_PAUSE = 30, FAST_RESPONSE = 2, REDRAW = 5;
  const LOST_AFTER = 3, MOST_FAILURES = 40; /* failed queries in a row */
  const at = id => document.getElementById(id);
  const make = (tag, text = "", name = "") => Object.assign(document.createElement(tag), { textContent: text, className: name });

  /* Relative URLs must resolve against this page also if its path has no trailing slash. */
  const path = location.pathname.replace(/[/]*$/, "/").replaceAll("'", "%27");
  if (path !== location.pathname) history.replaceState(null, "", location.origin + path + location.search + location.hash);
  const endpoint = `${location.origin}${path}mcp`;
  const fill = text => text.replaceAll(placeholder, endpoint);
  for (const node of document.querySelectorAll("[data-fill]")) node.textContent = fill(node.textContent);
  for (const node of document.querySelectorAll("[data-src]")) {
    node.src = node.dataset.src;
    if (node.dataset.poster) node.poster = node.dataset.poster;
  }

  for (const link of document.querySelectorAll("[data-link]")) {
    const config = fill(link.dataset.config);
    const bytes = () => btoa(String.fromCharCode(...new TextEncoder().encode(config)));
    link.href = link.dataset.link + encodeURIComponent("base64" in link.dataset ? bytes() : config);
    link.hidden = "https" in link.dataset && location.protocol !== "https:";
  }
  for (const node of document.querySelectorAll("#ask, #folds, #play, .after")) node.hidden = false;

  /* Copy buttons */

  const copyButton = (source, name, look = "copy") => {
    const button = at("copy").content.firstElementChild.cloneNode(true), word = button.textContent;
    const label = text => {
      button.textContent = text;
      button.setAttribute("aria-label", `${text}: ${name}`);
    };
    button.className = look;
    label(word);
    button.onclick = async () => {
      let done = texts.copied;
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch { /* over plain HTTP, there is no clipboard */
        getSelection().selectAllChildren(source);
        done = texts.byhand;
      }
      label(done);
      at("announcement").textContent = done;
      setTimeout(() => { label(word); at("announcement").textContent = ""; }, 4000);
    };
    return button;
  };
  const copyable = block => {
    const source = block.querySelector("pre");
    block.append(copyButton(source, source.getAttribute("aria-label")));
  };
  document.querySelectorAll(".block, .url").forEach(copyable);
  for (const value of document.querySelectorAll(".fields code"))
    value.after(copyButton(value, value.parentElement.previousElementSibling.textContent, "quiet"));

  /* A link to one client, such as #cursor */

  const fragment = () => {
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch { /* malformed, such as `#%` */
      return "";
    }
  };
  const choose = () => {
    const chosen = at(`client-${fragment()}`);
    if (!chosen) return;
    chosen.checked = true;
    at("connect").scrollIntoView();
  };
  addEventListener("hashchange", choose);
  choose();

  /* The client */

  /* A failure to show on the page, as opposed to a bug: a heading and a sentence. A transient one may soon be over. */
  class Failure extends Error {
    constructor(heading, sentence, transient = false) {
      super(`${heading}. ${sentence}`);
      Object.assign(this, { texts: [heading, sentence], transient });
    }
  }
  class Stopped extends Error {}

  let key = "", count = 0, busy = false, following = new AbortController(), wake = () => {};
  const clean = value => typeof value === "string" && key.length > 7 ? value.replaceAll(key, NO_KEY) : value;
  const parse = text => {
    try {
      return JSON.parse(text, (_, value) => clean(value));
    } catch {
      return undefined;
    }
  };
  const pretty = value => JSON.stringify(value, null, 2);

  /* Yield the data of each event of a stream. */
  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", data = [], skip = false;
    for (let part; !(part = await reader.read()).done;) {
      rest += part.value;
      if (skip && rest) {
        rest = rest.replace(/^\n/, ""); /* the other half of a line end */
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

  /* Show a request and its response. The key is never shown. */
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
      box.append(make("p", heading), block);
      return pre;
    };
    box.append(summary);
    const shown = Object.entries({ ...headers, ...headers.Authorization && { Authorization: `Bearer ${NO_KEY}` } });
    const lines = shown.map(([field, value]) => `${field}: ${value}`), json = clean(body);
    const quoted = text => `'${text.replaceAll("'", "'\\''")}'`;
    part("curl", [`curl -sN ${quoted(endpoint)}`, ...lines.map(line => `-H ${quoted(line)}`), `-d ${quoted(json)}`].join(" \\\n "), true);
    part(texts.sent, `POST ${path}mcp\n${lines.join("\n")}\n\n${pretty(parse(json))}`);
    at("wire-box").hidden = false;
    at("wire").querySelector("[open]")?.removeAttribute("open");
    box.open = true;
    at("wire").prepend(box);
    if (at("wire").children.length > 20) at("wire").lastElementChild.remove();
    let steps;
    const sent = performance.now();
    return {
      step: message => { (steps ??= part(texts.steps, "")).textContent += `${JSON.stringify(message)}\n`; },
      end: (status, text) => {
        summary.textContent = `${title} · ${status} · ${((performance.now() - sent) / 1000).toFixed(1)} s`;
        part(texts.got, text);
      },
    };
  };

  /* Return the failure that a JSON-RPC error stands for. */
  const rejection = (status, message) => {
    if (status !== 403) return new Failure(texts.fault, message);
    return new Failure(texts.origin, `${isSecureContext ? texts.allow : texts.https} SCENEXT_ALLOWED_ORIGINS=${location.origin}`);
  };
  /* Return the failure of a call without a response of this server. One that may have started a video is not repeated. */
  const silence = (status, text, charged) => {
    if (charged) return new Failure(texts.net, texts.unsure);
    return text ? new Failure(texts.proxy, `HTTP ${status}`, true) : new Failure(texts.net, texts.later, true);
  };
  const toolFailure = ({ _meta, content }) => {
    const known = _meta?.["scenext/failure"];
    if (known) return new Failure(...known[language], !known.final);
    return new Failure(texts.fault, String(content?.[0]?.text ?? "").split("\n\n").at(language === "zh" ? -1 : 0));
  };

  /* Call a tool as any client does, and return its structured content. Throws Failure or Stopped. */
  async function call(name, args, seconds) {
    const id = ++count, prefix = "io.modelcontextprotocol/";
    const meta = { [`${prefix}protocolVersion`]: REVISION, [`${prefix}clientCapabilities`]: {}, progressToken: id };
    const body = JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: args, _meta: meta } });
    const headers = {
      "Content-Type": "application/json", Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": REVISION, "Mcp-Method": "tools/call", "Mcp-Name": name,
      ...key && { Authorization: `Bearer ${key}` },
    };
    const wire = exchange(name, headers, body), control = new AbortController(), abort = () => control.abort();
    const { signal: stopped } = following, timer = setTimeout(abort, seconds * 1000);
    stopped.addEventListener("abort", abort, { once: true });
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
          else if (message) wire.step(message);
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
    wire.end(status, answer ? pretty(answer) : clean(text.slice(0, 2000)) || texts.silent);
    if (stopped.aborted) throw new Stopped();
    if (answer?.error?.message) throw rejection(status, answer.error.message);
    if (!answer?.result) throw silence(status, text, name === "gen_video");
    if (answer.result.isError) throw toolFailure(answer.result);
    return answer.result.structuredContent;
  }

  /* Wait, until `wake` is called at the latest. */
  const sleep = seconds => new Promise(over => {
    const timer = setTimeout(over, seconds * 1000);
    wake = () => { clearTimeout(timer); over(); };
  });
  const whenVisible = () => document.hidden
    ? new Promise(over => document.addEventListener("visibilitychange", over, { once: true })) : undefined;
  addEventListener("online", () => wake());

  /* The video on the stage */

  let job = {}, startTime, endTime, shown = {};
  const draw = (options = shown) => {
    shown = options;
    drawJob(at("job"), job, {
      language, seconds: startTime && ((endTime ?? Date.now()) - startTime) / 1000, ...options,
      words: { stopped: texts.stopped, resume: texts.resume, stop: texts.stop, ...options.words },
      open: url => window.open(url, "_blank", "noopener,noreferrer"),
      stop: () => { following.abort(); wake(); },
      retry: () => { if (busy) wake(); else resume(); },
      refresh: () => run(() => follow(job.task_id)),
    });
    const code = at("job").querySelector(".id code");
    if (!code.nextElementSibling) code.after(copyButton(code, texts.taskid, "quiet"));
  };
  setInterval(() => { if (busy && startTime) draw(); }, REDRAW * 1000);

  /* Replace the sample, or the last video, by a job that is not known yet. */
  const begin = (task, options) => {
    job = task ? { task_id: task } : {};
    startTime = endTime = undefined;
    at("job").replaceChildren();
    draw(options);
  };
  /* Draw the first state after a click, and keep the stage and the focus on the page. */
  const reveal = (task, words) => {
    const stage = at("job"), focused = stage.contains(document.activeElement);
    begin(task, { state: "starting", words });
    if (focused) stage.focus();
    const { top } = stage.getBoundingClientRect();
    if (top < 0 || top > innerHeight - 200) stage.scrollIntoView();
  };

  /* Keep a started video for a reload of this page: its id, its question and its start. Never a key. */
  const store = change => {
    try {
      const stored = { ...JSON.parse(sessionStorage.getItem(STORED)), ...change };
      sessionStorage.setItem(STORED, JSON.stringify(stored));
    } catch { /* the browser allows no storage */ }
  };
  const stored = () => {
    try {
      return JSON.parse(sessionStorage.getItem(STORED));
    } catch {
      return null;
    }
  };

  const hasEnded = () => ["COMPLETED", "FAILED"].includes(job.status);
  const end = first => {
    if (first && !endTime) startTime = undefined; /* it ended before this page asked */
    endTime ??= Date.now();
    if (stored()?.task === job.task_id) store({ ended: true });
    draw({});
  };

  /* Query a job until it has ended, and draw each response. Throws Failure or Stopped. */
  async function follow(task) {
    const first = { task_id: task }, again = { ...first, ...WAIT && { wait_seconds: WAIT }, frames: "all" };
    for (let args = first, failures = 0; ;) {
      const sent = Date.now();
      try {
        job = { ...await call("query_video_status", args, WAIT + 45), task_id: task };
        if (hasEnded()) return end(args === first);
        failures = 0;
        draw({});
        await sleep(args === first ? 0 : Date.now() - sent < FAST_RESPONSE * 1000 ? LONG_PAUSE : PAUSE);
        args = again;
      } catch (failure) {
        if (!failure.transient || !(startTime || job.status) || ++failures > MOST_FAILURES) throw failure;
        if (failures >= LOST_AFTER) draw({ state: "lost" });
        await sleep(failures < LOST_AFTER ? RETRY_PAUSE : LONG_PAUSE);
      }
      if (following.signal.aborted) throw new Stopped();
      await whenVisible();
    }
  }

  async function run(action) {
    if (busy) return;
    const buttons = document.querySelectorAll("form button");
    busy = true;
    following = new AbortController();
    for (const button of buttons) button.setAttribute("aria-disabled", "true");
    try {
      await action();
    } catch (failure) {
      if (failure instanceof Stopped) draw({ state: "stopped" });
      else if (failure instanceof Failure) draw({ state: "refused", failure: failure.texts });
      else throw failure;
    } finally {
      busy = false;
      for (const button of buttons) button.removeAttribute("aria-disabled");
    }
  }

  /* The forms */

  const confirm = () => new Promise(over => {
    const dialog = at("sure");
    dialog.returnValue = "";
    dialog.onclose = () => over(dialog.returnValue === "yes");
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
  for (const name of ["question", "key", "task"]) at(name).addEventListener("input", () => field(name));

  const takeKey = () => {
    const typed = at("key").value.trim();
    const wrong = keyed !== undefined && !typed ? texts.nokey : /[^\x21-\x7e]/.test(typed) ? texts.badkey : "";
    if (!field("key", wrong)) return false;
    key = typed;
    return true;
  };
  function resume() {
    if (takeKey()) run(() => follow(job.task_id));
  }

  at("ask").onsubmit = async event => {
    event.preventDefault();
    const question = at("question").value.trim();
    if (busy || at("sure").open || !field("question", !question && texts.noquestion) || !takeKey()) return;
    if (sandbox === undefined && !await confirm()) return;
    run(async () => {
      reveal();
      const sent = Date.now(), previous = stored();
      job = { ...await call("gen_video", { question }, 90) };
      startTime = previous?.task === job.task_id ? previous.start : sent; /* a repeated start returns the first video */
      store({ task: job.task_id, question, start: startTime, ended: false });
      draw({});
      await follow(job.task_id);
    });
  };
  at("question").onkeydown = event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("ask").requestSubmit();
  };

  const show = task => run(() => {
    reveal(task, { starting: texts.loading });
    return follow(task);
  });
  at("find").onsubmit = event => {
    event.preventDefault();
    const task = at("task").value.trim();
    if (!busy && field("task", !task && texts.notask) && takeKey()) show(task);
  };

  at("play").onclick = async () => {
    const { task } = at("play").dataset;
    let video = at("sample");
    if (task) {
      if (!takeKey()) return;
      await show(task);
      video = at("job").querySelector("video:not([hidden])");
    }
    at("play")?.remove();
    if (!video) return;
    video.controls = true;
    video.focus();
    video.play().catch(() => {}); /* a browser may insist on a click */
  };

  /* After a reload, continue with the video that was started before. */
  const last = stored();
  if (last?.task) {
    begin(last.task, { state: "stopped", words: last.ended && { stopped: texts.last } });
    startTime = last.ended ? undefined : last.start;
    at("question").value = last.question;
    if (keyed === undefined) resume();
  }
})();
