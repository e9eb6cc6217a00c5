// The scenes of the sample video, "Why is the sky blue?". Each is an SVG drawn from the time alone, so that the video,
// its poster and single frames come from the same drawing.

const WIDTH = 960, HEIGHT = 540;
export const LENGTH = 23; // seconds
const FADE = 0.4; // seconds in which a scene appears over the previous one

const NIGHT = "#0b1530", DEEP = "#13234d", INK = "#f4f7ff", SOFT = "#a9b7dc", RED = "#ff6b5e", BLUE = "#5aa9ff";
const RAINBOW = ["#ff6b5e", "#ff9f45", "#ffd84d", "#5fd38a", "#4aa8ff", "#5b6cff", "#a06bff"];

// ---- Numbers

const clamp = (value) => Math.min(1, Math.max(0, value));
const lerp = (from, to, part) => from + (to - from) * part;
const ease = (part) => (part < 0.5 ? 4 * part ** 3 : 1 - (2 - 2 * part) ** 3 / 2);
const n = (value) => Math.round(value * 10) / 10;
// A pseudo-random number from 0 to 1, the same in every run.
const noise = (seed) => {
  const value = Math.sin(seed * 127.1 + 11.7) * 43758.5453;
  return value - Math.floor(value);
};
// The eased part of the time from `from` to `to` that has passed at t.
const passed = (t, from, to) => ease(clamp((t - from) / (to - from)));
const range = (count) => Array.from({ length: count }, (_, index) => index);
const mix = (from, to, part) => {
  const channel = (colour, at) => parseInt(colour.slice(at, at + 2), 16);
  const mixed = [1, 3, 5].map((at) => Math.round(lerp(channel(from, at), channel(to, at), part)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
};

// ---- Shapes

const opacity = (value) => (value < 1 ? ` opacity="${Math.round(value * 100) / 100}"` : "");
const line = (points) => `M${points.map(([x, y]) => `${n(x)} ${n(y)}`).join("L")}`;
const area = (points, fill, visible = 1) => `<path d="${line(points)}z" fill="${fill}"${opacity(visible)}/>`;
const stroke = (d, colour, width, more = "") =>
  `<path d="${d}" fill="none" stroke="${colour}" stroke-width="${width}" stroke-linecap="round"` +
  ` stroke-linejoin="round"${more}/>`;
const circle = (x, y, r, fill, visible = 1) =>
  `<circle cx="${n(x)}" cy="${n(y)}" r="${n(r)}" fill="${fill}"${opacity(visible)}/>`;

function text(x, y, size, words, { fill = INK, weight = 600, anchor = "middle", visible = 1, spacing = 0 } = {}) {
  const spaced = spacing ? ` letter-spacing="${spacing}"` : "";
  return (
    `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${fill}" text-anchor="${anchor}"` +
    `${spaced}${opacity(visible)}>${words}</text>`
  );
}

function caption(t, english, chinese) {
  const visible = passed(t, 0.25, 0.9), rise = lerp(10, 0, visible);
  return (
    text(WIDTH / 2, n(462 + rise), 30, english, { visible }) +
    text(WIDTH / 2, n(500 + rise), 20, chinese, { fill: SOFT, weight: 400, visible })
  );
}

function background(top, bottom, id) {
  return (
    `<defs><linearGradient id="${id}" x2="0" y2="1"><stop stop-color="${top}"/>` +
    `<stop offset="1" stop-color="${bottom}"/></linearGradient></defs>` +
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="url(#${id})"/>`
  );
}

function sun(x, y, radius, colour, glow) {
  const halo = [2.1, 1.55].map((factor, index) => circle(x, y, radius * factor, colour, (glow * (index + 1)) / 2));
  return halo.join("") + circle(x, y, radius, colour);
}

// A person at (x, y) who points to the sky: to the right, or with a negative scale to the left.
function person(x, y, scale, colour) {
  return (
    `<g transform="translate(${x} ${y}) scale(${scale} ${Math.abs(scale)})" fill="${colour}">` +
    '<circle cx="3" cy="-62" r="11"/><path d="M-9 -48q9 -6 18 0l3 26h-5l-2 22h-10l-2 -22h-5z"/>' +
    `${stroke("M8 -44l16 -14", colour, 6)}</g>`
  );
}

function wave(to, { from, y, length, height, phase, colour }) {
  const xs = range(Math.max(Math.floor((to - from) / 6) + 1, 0)).map((step) => from + 6 * step);
  const points = xs.map((x) => [x, y + Math.sin(((x - phase) / length) * 2 * Math.PI) * height]);
  return points.length < 2 ? "" : stroke(line(points), colour, 6);
}

// ---- Scenes. Each is drawn at t seconds from its start.

// The sun rises, the sky turns blue, and the question appears.
function question(t) {
  const day = passed(t, 0, 2.6);
  const clouds =
    `<path d="M${n(96 + t * 9)} 208q8 -30 42 -26q20 -30 58 -10q36 -8 40 24q16 4 14 12h-154z"/>` +
    `<path d="M${n(560 + t * 6)} 92q6 -20 28 -18q16 -20 40 -6q26 -4 28 24h-96z" opacity=".8"/>`;
  return (
    background(mix("#101d44", "#1f6fd6", day), mix("#3a3564", "#8fc3f5", day), "question") +
    sun(742, lerp(470, 168, day), 46, mix("#ff9a4d", "#ffe08a", day), 0.25) +
    `<g fill="#fff"${opacity(0.5 * day)}>${clouds}</g>` +
    `<path d="M0 430C180 380 300 420 470 405S800 350 960 400V540H0z" fill="${mix("#1b2a55", "#3c9a72", day)}"/>` +
    `<path d="M0 470C220 430 380 480 560 452S840 440 960 460V540H0z" fill="${mix("#121d40", "#2b7a5b", day)}"/>` +
    person(772, 436, -0.95, mix(NIGHT, "#14373a", day)) +
    text(WIDTH / 2, 300, 62, "Why is the sky blue?", { weight: 700, visible: passed(t, 0.7, 1.5), spacing: -1.2 }) +
    text(WIDTH / 2, 350, 28, "天空为什么是蓝色的？", { weight: 400, visible: passed(t, 1.1, 1.9) })
  );
}

// A white beam enters a prism, and all colours leave it.
function prism(t) {
  const beam = passed(t, 0.3, 1.4), inside = clamp((t - 1.2) / 0.4), fan = passed(t, 1.5, 2.8);
  const enter = lerp(-20, 412, beam), leave = lerp(412, 508, inside), reach = lerp(508, 980, fan);
  const rays = RAINBOW.map((colour, index) => {
    const start = 198 + index * 7, end = 96 + index * 42;
    const far = [[reach, lerp(start, end, fan)], [reach, lerp(start, end + 42, fan)]];
    return area([[508, start], ...far, [508, start + 7]], colour, 0.92);
  });
  const spread = [[412, 226], [leave, lerp(226, 198, inside)], [leave, lerp(240, 247, inside)], [412, 240]];
  return (
    background(NIGHT, DEEP, "prism") +
    (fan ? rays.join("") : "") +
    area([[0, 262], [enter, lerp(262, 226, beam)], [enter, lerp(272, 240, beam)], [0, 276]], "#fff") +
    '<path d="M462 92L572 312H352z" fill="#8fb4ff" fill-opacity=".16"/>' +
    stroke("M462 92L572 312H352z", "#cfe0ff", 4) +
    (inside ? area(spread, "#fff", 0.45) : "") +
    caption(t, "Sunlight looks white, but it holds every colour.", "阳光看似白色，其实包含所有颜色。")
  );
}

// A red and a blue wave, with one length measured on each.
function waves(t) {
  const end = lerp(250, 880, passed(t, 0.2, 1.6)), measured = passed(t, 1.5, 2.3);
  const row = (y, length, colour, english, chinese) => {
    const right = n(lerp(460, 460 + length, measured)), below = y + 72;
    return (
      wave(end, { from: 250, y, length, height: 44, phase: t * 70, colour }) +
      text(76, y - 2, 28, english, { anchor: "start", fill: colour, weight: 700 }) +
      text(76, y + 28, 19, chinese, { anchor: "start", fill: SOFT, weight: 400 }) +
      stroke(`M460 ${below}H${right}M460 ${below - 8}v16M${right} ${below - 8}v16`, colour, 3, opacity(measured))
    );
  };
  return (
    background(NIGHT, DEEP, "waves") +
    row(150, 176, RED, "Red", "红光") +
    row(312, 84, BLUE, "Blue", "蓝光") +
    caption(t, "Red light has long waves. Blue light has short ones.", "红光的波长较长，蓝光的波长较短。")
  );
}

// In the air, the red wave continues straight, and the blue one scatters in all directions.
function scatter(t) {
  const arrive = passed(t, 0.3, 1.8), burst = passed(t, 1.3, 2.8), phase = t * 90;
  const molecules = range(46).map((index) => {
    const x = 300 + noise(index) * 360 + Math.sin(t * 1.3 + index) * 3;
    const y = 66 + noise(index + 50) * 322 + Math.cos(t * 1.1 + index * 2) * 3;
    return circle(x, y, 5 + noise(index + 90) * 3, "#dfe8ff", 0.55);
  });
  const scattered = [-150, -108, -66, -24, 18, 58, 122, 160].map((degrees) => {
    const angle = (degrees / 180) * Math.PI, steps = Math.floor((lerp(20, 178, burst) - 22) / 4) + 1;
    const points = range(Math.max(steps, 0)).map((step) => {
      const far = 22 + 4 * step, side = Math.sin(((far - t * 60) / 46) * 2 * Math.PI) * 10;
      return [
        480 + Math.cos(angle) * far - Math.sin(angle) * side,
        270 + Math.sin(angle) * far * 0.72 + Math.cos(angle) * side,
      ];
    });
    return points.length < 2 ? "" : stroke(line(points), BLUE, 4.5, opacity(0.95 - 0.35 * burst));
  });
  return (
    background(NIGHT, DEEP, "scatter") +
    '<rect x="276" y="44" width="408" height="366" rx="26" fill="#2a4690" opacity=".35"/>' +
    text(480, 36, 19, "air · 空气", { fill: SOFT, weight: 500 }) +
    molecules.join("") +
    wave(lerp(-10, 980, arrive), { from: -10, y: 112, length: 176, height: 24, phase, colour: RED }) +
    wave(lerp(-10, 474, clamp(arrive * 1.6)), { from: -10, y: 270, length: 70, height: 24, phase, colour: BLUE }) +
    scattered.join("") +
    circle(480, 270, 13 + 3 * Math.sin(t * 6) * burst, "#fff") +
    text(832, 262, 25, "scattering", { fill: BLUE, visible: passed(t, 2, 2.8) }) +
    text(832, 300, 30, "∝ 1 / λ⁴", { weight: 700, visible: passed(t, 2, 2.8) }) +
    caption(t, "Air scatters blue light far more than red.", "空气对蓝光的散射远强于红光。")
  );
}

// Blue light reaches the eye from the whole sky.
function sky(t) {
  const day = passed(t, 0.2, 2.2), [eyeX, eyeY] = [480, 352];
  const rays = range(11).map((index) => {
    const angle = Math.PI * (1.06 + (0.88 * index) / 10);
    const [x, y] = [eyeX + Math.cos(angle) * 420, eyeY + Math.sin(angle) * 336];
    const part = clamp(day * 1.35 - 0.03 * Math.abs(index - 5)), reached = ease(part) * 0.9;
    const more = ` stroke-dasharray="2 15" stroke-dashoffset="${n(-t * 60)}"${opacity(0.9 * clamp(part * 3))}`;
    return stroke(line([[x, y], [lerp(x, eyeX, reached), lerp(y, eyeY, reached)]]), "#e4f2ff", 4, more);
  });
  return (
    background(mix(NIGHT, "#1766d6", day), mix(DEEP, "#9fd0ff", day), "sky") +
    sun(806, 92, 34, "#fff1c2", 0.25) +
    rays.join("") +
    '<path d="M0 404C200 366 340 396 480 396S800 376 960 392V540H0z" fill="#0e2f4a"/>' +
    person(476, 410, 1.05, "#071c30") +
    caption(t, "So blue light reaches your eyes from every side.", "所以，蓝光会从四面八方进入你的眼睛。")
  );
}

// In the evening, the light crosses more air. The blue light is lost on the way, and the red light arrives.
function evening(t) {
  const set = passed(t, 0.2, 2.4), travelled = passed(t, 0.6, 2.6);
  const sunX = 128, sunY = lerp(190, 338, set);
  const at = (part) => [lerp(sunX + 62, 742, part), lerp(sunY, 346, part)];
  const light = range(26).map((index) => {
    const part = (index + 0.5) / 26;
    const colour = part < 0.5 ? mix("#ffffff", "#ffc27a", part * 2) : mix("#ffc27a", "#ff5a4f", part * 2 - 1);
    return part > travelled ? "" : circle(...at(part), 6, colour);
  });
  const lost = range(12).map((index) => {
    const part = 0.08 + 0.06 * index, age = clamp(travelled * 1.3 - part), [x, y] = at(part);
    const side = index % 2 ? 1 : -1;
    const d = `M${n(x)} ${n(y + side * 14)}l${n(26 * age)} ${n(side * 62 * age)}`;
    return age ? stroke(d, BLUE, 4, opacity(0.95 - 0.4 * age)) : "";
  });
  return (
    background(mix("#2f7fe0", "#2b2358", set), mix("#bfe0ff", "#ff8a5c", set), "evening") +
    sun(sunX, sunY, 48, mix("#ffe08a", "#ff7a4d", set), 0.3) +
    '<path d="M0 404C200 372 340 392 520 396S800 376 960 392V540H0z" fill="#1a1436"/>' +
    lost.join("") +
    light.join("") +
    person(770, 410, -1.05, "#0d0920") +
    caption(t, "At sunset the light crosses more air: only red is left.", "日落时光要穿过更厚的空气，只剩下红光。")
  );
}

// Each scene with its start and its end in seconds, and the second of the scene that its frame shows.
const SCENES = [
  [question, 0, 3.8, 2.6],
  [prism, 3.4, 7.4, 3],
  [waves, 7, 11, 3],
  [scatter, 10.6, 15, 3.4],
  [sky, 14.6, 18.8, 3.4],
  [evening, 18.4, LENGTH, 3.6],
];

const svg = (drawn) =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}"` +
  " font-family=\"Inter, system-ui, 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif\">" +
  `<title>Why is the sky blue? / 天空为什么是蓝色的？</title>${drawn}` +
  `${text(28, 38, 17, "Sample · 示例", { anchor: "start", weight: 500, visible: 0.65 })}</svg>`;

// The picture at t seconds of the video.
export function picture(t) {
  const shown = SCENES.filter(([, from, to]) => t >= from && t <= to).map(([draw, from]) => {
    const visible = from ? clamp((t - from) / FADE) : 1;
    return `<g${opacity(visible)}>${draw(t - from)}</g>`;
  });
  return svg(shown.join(""));
}

// One picture of each scene.
export const frames = SCENES.map(([draw, , , t]) => svg(draw(t)));
