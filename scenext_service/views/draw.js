// Draws a job for people: its state, how long it takes, its frames as they come, the film, or why there is none.
//
//   drawJob(root, job, options)
//
// root     An element of which the content belongs to this function. Call it again with the same one whenever there is
//          news, a second more or another language: it touches only what changed, and a picture that is there is not
//          loaded anew, though each answer signs its link anew. A job with another task_id begins afresh.
// job      What query_video_status returns, {task_id, status, progress, result}. Any field may be missing or hold
//          anything: all of it is shown as text, and followed as a link only where that is http or https.
// options  All may be left out:
//   language  "zh" or "en"; "en"
//   elapsed   seconds since the job began; not said where it is left out
//   open      gets the film's address when its button is pressed; without it, the button opens a new tab by itself
//   refresh   called when a link of an ended job does not load: ask for the job again and draw what comes (another
//             object, that is), and what failed gets its new link, once. Not called while a job runs: news come anyway
//   live      false where the page tells those who cannot see of the job's state in its own way; true
//   lost      called when "Try again" is pressed; where it is given, the job is drawn as one that cannot be asked for
//
// Returns the film's address, "" where there is none yet.
//
// A style sheet finds root[data-state=running|ready|failed|lost] and .job-state (a line of .job-word, a live region or
// not, and .job-time), .job-hint, .job-frames (a box of img), .job-film (a video), .job-open and .job-retry (buttons). What is not
// to be seen is `hidden`.
function drawJob(root, job, options = {}) {
  const TEXTS = {
    en: {
      running: "Your video is being made", ready: "Your video is ready", failed: "No video was made", lost: "No news",
      wait: "It takes 10 to 20 minutes, and goes on when you close this.",
      expire: "Its link expires after a while.", none: "The job is done, but came without a link to a film.",
      again: "A new attempt is charged again.", gone: "The last questions had no answer; the video goes on all the same.",
      open: "Open the video", retry: "Try again", frame: n => `Frame ${n}`, film: "The video",
      time: n => n ? `${n} min` : "less than a minute",
    },
    zh: {
      running: "视频正在生成", ready: "视频已生成", failed: "视频生成失败", lost: "暂时没有消息",
      wait: "通常要 10 到 20 分钟，关闭页面也会继续生成。",
      expire: "链接过一段时间会失效。", none: "任务已结束，但没有返回视频链接。",
      again: "重新生成会再次扣费。", gone: "最近几次查询都没有回音，视频仍会继续生成。",
      open: "打开视频", retry: "再试一次", frame: n => `第 ${n} 帧`, film: "视频",
      time: n => n ? `${n} 分钟` : "不到 1 分钟",
    },
  };
  const say = TEXTS[options.language === "zh" ? "zh" : "en"];
  const plain = value => typeof value === "string" || typeof value === "number" ? String(value).slice(0, 500) : "";
  const web = value => {
    try {
      const url = new URL(plain(value) && value);
      return url.protocol === "https:" || url.protocol === "http:" ? url : null;
    } catch {
      return null;
    }
  };
  const leaves = (value, name = "") => value && typeof value === "object"
    ? Object.entries(value).flatMap(([key, item]) => leaves(item, Array.isArray(value) ? name : key)) : [[name, value]];
  const make = (tag, name, ...inside) => {
    const node = document.createElement(tag);
    node.className = name;
    node.append(...inside);
    return node;
  };
  const write = (node, text) => {
    if (node.textContent !== text) node.textContent = text;
    node.hidden = !text;
  };

  job = job ?? {};
  const task = plain(job.task_id), ended = ["COMPLETED", "FAILED"].includes(job.status);
  let drawn = root.drawn;
  if (!drawn || drawn.task !== task || !root.contains(drawn.state)) {
    const word = make("span", "job-word"), time = make("span", "job-time");
    if (options.live !== false) word.setAttribute("role", "status");
    drawn = root.drawn = {
      task, word, time, state: make("p", "job-state", word, time), frames: make("div", "job-frames"),
      film: make("video", "job-film"), hint: make("p", "job-hint"),
      open: make("button", "job-open"), retry: make("button", "job-retry"), known: new Map(), asked: false,
    };
    Object.assign(drawn.film, { controls: true, playsInline: true, preload: "metadata" });
    drawn.open.onclick = () => {
      const { open } = drawn.options;
      open ? open(drawn.address) : window.open(drawn.address, "_blank", "noopener,noreferrer");
    };
    drawn.retry.onclick = () => drawn.options.lost?.();
    drawn.open.type = drawn.retry.type = "button";
    root.replaceChildren(drawn.state, drawn.film, drawn.frames, drawn.hint, drawn.open, drawn.retry);
  }
  Object.assign(drawn, { options, ended });

  // Gives a picture or film its link: at first, and once more after a failure.
  const load = (node, url) => {
    const late = node.state === "failed" || (drawn.asked && node.state === "loading");
    if (node.state && (!late || node.second || node.src === url.href)) return;
    if (!node.state) {
      const came = () => Object.assign(node, { state: "loaded", second: false });
      node.addEventListener("load", came);
      node.addEventListener("loadedmetadata", came);
      node.addEventListener("error", () => {
        node.state = "failed";
        if (!drawn.ended || drawn.asked || node.second) return;
        drawn.asked = true;
        drawn.options.refresh?.();
      });
    }
    Object.assign(node, { second: !!node.state, state: "loading", src: url.href });
  };

  for (const frame of Array.isArray(job.progress) ? job.progress.slice(0, 200) : []) {
    const url = web(frame?.image), key = url && `${plain(frame.id)} ${url.origin}${url.pathname}`;
    if (!url) continue;
    if (!drawn.known.has(key)) {
      const picture = make("img", "job-frame");
      picture.referrerPolicy = "no-referrer";
      drawn.known.set(key, picture);
      drawn.frames.append(picture);
    }
    load(drawn.known.get(key), url);
  }
  [...drawn.known.values()].forEach((picture, n) => { picture.alt = say.frame(n + 1); });
  drawn.frames.hidden = !drawn.known.size;

  const results = leaves(job.result);
  const film = job.status === "COMPLETED" && results
    .filter(([name]) => !/image|picture|cover|poster|thumb|frame/i.test(name)).map(([, value]) => web(value)).find(Boolean);
  if (film) {
    drawn.address = film.href;
    load(drawn.film, film);
  }
  if (job !== drawn.job) drawn.asked = false;
  drawn.job = job;
  drawn.film.hidden = !film;
  drawn.film.setAttribute("aria-label", say.film);

  const state = options.lost ? "lost" : { COMPLETED: "ready", FAILED: "failed" }[plain(job.status)] ?? "running";
  const reasons = [...results, ...leaves({ error: job.error, message: job.message })]
    .filter(([name, value]) => plain(value) && (!name || /error|reason|message|msg|detail/i.test(name)))
    .map(([, value]) => plain(value)).slice(0, 3);
  const hint = { running: say.wait, ready: film ? say.expire : say.none, failed: [...reasons, say.again].join("\n"),
    lost: say.gone };
  root.dataset.state = state;
  write(drawn.word, say[state]);
  write(drawn.time, state === "running" && Number.isFinite(options.elapsed) && options.elapsed >= 0
    ? say.time(Math.floor(options.elapsed / 60)) : "");
  write(drawn.hint, hint[state]);
  write(drawn.open, film ? say.open : "");
  write(drawn.retry, options.lost ? say.retry : "");
  return film ? film.href : "";
}
