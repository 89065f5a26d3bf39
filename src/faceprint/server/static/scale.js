// The scale: a similarity among the operating points. It is drawn in pixels of the screen, so that
// its labels can be read at any width, and again whenever that width changes.

import { byId } from "./api.js";

const TAG = "http://www.w3.org/2000/svg";
const LINE = 34; // where the scale lies, in pixels from the top
const FIRST = 62; // the first row of labels
const ROW = 19;
const GAP = 6;

let drawn = null;

// Draws a similarity, the threshold that decided, and every operating point.
export function drawScale(similarity, threshold, points) {
  const marks = points
    .filter((point) => point.fmr !== null)
    .map((point) => ({
      at: point.threshold,
      text: `FMR ${point.fmr} at ${point.threshold.toFixed(4)}`,
      chosen: Math.abs(point.threshold - threshold) < 1e-6,
    }));
  if (!marks.some((mark) => mark.chosen)) {
    marks.push({ at: threshold, text: `Threshold ${threshold.toFixed(4)}`, chosen: true });
  }
  marks.sort((a, b) => a.at - b.at);
  drawn = { similarity, marks };
  const names = marks.map((mark) => mark.text + (mark.chosen ? ", which decides" : ""));
  byId("scale").setAttribute(
    "aria-label",
    `Similarity ${similarity.toFixed(4)} on a scale with the operating points: ${names.join("; ")}`,
  );
  draw();
}

// Gives each label the first row in which it meets no other label and no line that leads to one.
// Labels extend to the side with more room, and those nearer to it get their row first.
function place(labels, width) {
  const middle = labels.reduce((sum, label) => sum + label.x, 0) / labels.length;
  const right = middle < width / 2;
  const placed = [];
  for (const label of right ? [...labels].reverse() : labels) {
    const free = right ? label.x : label.x - label.width;
    label.left = Math.max(0, Math.min(free, width - label.width));
    const end = label.left + label.width + GAP;
    const meets = (other) => label.left < other.left + other.width + GAP && other.left < end;
    const crossed = (other) => label.left - GAP < other.x && other.x < end;
    label.row = 0;
    while (placed.some((other) => other.row === label.row ? meets(other) || crossed(other)
      : other.row > label.row && crossed(other))) label.row += 1;
    placed.push(label);
  }
  return 1 + Math.max(...placed.map((label) => label.row));
}

function draw() {
  const holder = byId("scale");
  const width = holder.clientWidth;
  if (!drawn || !width) return;
  const { similarity, marks } = drawn;
  const values = [similarity, ...marks.map((mark) => mark.at)];
  const low = Math.min(...values) - 0.04;
  const high = Math.min(1, Math.max(...values) + 0.02);
  const x = (value) => (width * (value - low)) / (high - low);

  const svg = document.createElementNS(TAG, "svg");
  const add = (name, attributes, text) => {
    const part = document.createElementNS(TAG, name);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    if (text) part.textContent = text;
    svg.append(part);
    return part;
  };
  holder.replaceChildren(svg); // text has a width only on the page
  add("line", { x1: 0, x2: width, y1: LINE, y2: LINE, class: "axis" });
  const labels = marks.map((mark) => {
    const name = mark.chosen ? "chosen" : "point";
    const leader = add("line", { x1: x(mark.at), x2: x(mark.at), y1: LINE - 10, class: name });
    const text = add("text", { class: name }, mark.text);
    return { x: x(mark.at), leader, text, width: text.getComputedTextLength() };
  });
  const rows = place(labels, width);
  for (const { leader, text, left, row } of labels) {
    const base = FIRST + ROW * row;
    leader.setAttribute("y2", base - 13);
    text.setAttribute("x", left);
    text.setAttribute("y", base);
    svg.append(text); // above every line
  }
  add("circle", { cx: x(similarity), cy: LINE, r: 8, class: "here" });
  const here = add("text", { y: 16, class: "here" }, similarity.toFixed(4));
  const half = here.getComputedTextLength() / 2;
  here.setAttribute("x", Math.max(0, Math.min(x(similarity) - half, width - 2 * half)));
  const height = FIRST + ROW * (rows - 1) + 6;
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
}

new ResizeObserver(draw).observe(byId("scale"));
