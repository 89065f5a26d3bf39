// The page: compares two photographs, and keeps a gallery. Everything goes through the API.

const byId = (id) => document.getElementById(id);
const photos = { a: null, b: null };
let points = [];

// Talking to the server

class Refused extends Error {
  constructor(problem) {
    super(problem.detail || problem.title || "The server did not answer");
    this.status = problem.status;
  }
}

async function ask(path, options = {}) {
  const key = sessionStorage.getItem("key");
  const headers = new Headers(options.headers);
  if (key) headers.set("Authorization", `Bearer ${key}`);
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Refused({ detail: "The server can't be reached." });
  }
  if (answer.status === 204) return null;
  const document = await answer.json().catch(() => ({ status: answer.status }));
  if (!answer.ok) throw new Refused({ status: answer.status, ...document });
  return document;
}

function show(text) {
  byId("message").hidden = !text;
  byId("message").textContent = text;
}

// Runs an action; what goes wrong is shown at the top of the page.
async function attempt(action, button) {
  show("");
  if (button) button.disabled = true;
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error);
    if (error.status === 401) openKey();
    show(error.message);
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Comparing

async function choose(side, file) {
  if (!file) return;
  photos[side] = file;
  await draw(side, []);
  if (photos.a && photos.b) await attempt(compare);
}

async function draw(side, boxes) {
  const holder = document.querySelector(`.photo[data-side=${side}]`);
  const canvas = holder.querySelector("canvas");
  let bitmap;
  try {
    bitmap = await createImageBitmap(photos[side], { imageOrientation: "from-image" });
  } catch {
    holder.querySelector(".placeholder").textContent = photos[side].name;
    return; // a format that this browser can't show may be one that the server reads
  }
  const scale = Math.min(1, 900 / Math.max(bitmap.width, bitmap.height));
  canvas.width = bitmap.width * scale;
  canvas.height = bitmap.height * scale;
  const pen = canvas.getContext("2d");
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  pen.strokeStyle = "#ffd23f";
  pen.lineWidth = Math.max(2, canvas.width / 200);
  for (const [x1, y1, x2, y2] of boxes) {
    pen.strokeRect(x1 * scale, y1 * scale, (x2 - x1) * scale, (y2 - y1) * scale);
  }
  canvas.hidden = false;
  holder.querySelector(".placeholder").hidden = true;
}

async function compare() {
  const form = new FormData();
  form.append("a", photos.a);
  form.append("b", photos.b);
  byId("answer").hidden = true;
  const answer = await ask("/v1/verify?crops=true", { method: "POST", body: form });
  if (!points.length) points = (await ask("/v1/models")).operating_points;
  await Promise.all(["a", "b"].map((side, i) => draw(side, [answer.faces[i].box])));
  const verdict = byId("verdict");
  const kind = !answer.decidable ? "unsure" : answer.match ? "match" : "nomatch";
  verdict.className = kind;
  verdict.textContent = {
    match: "Same person.", nomatch: "Two people.", unsure: "Can't be decided.",
  }[kind];
  byId("numbers").textContent =
    `Similarity ${answer.similarity.toFixed(4)}, threshold ${answer.threshold.toFixed(4)}`;
  byId("worth").textContent = worth(answer);
  byId("crop-a").src = answer.faces[0].crop;
  byId("crop-b").src = answer.faces[1].crop;
  drawScale(answer);
  byId("answer").hidden = false;
}

function percent(rate) {
  return `${(100 * rate).toPrecision(2)} %`;
}

function worth(answer) {
  if (!answer.decidable) return `${answer.reason}.`;
  const found = answer.measured_on
    .map((item) => {
      const missed = item.fnmr === null ? "" : `, ${percent(item.fnmr)} of pairs of one person missed`;
      return `${item.data_set}: ${percent(item.fmr)} of pairs of two people matched${missed}`;
    })
    .join("; ");
  if (answer.provisional) {
    return `This threshold was not measured for these models (${answer.source}); the answer is provisional.`;
  }
  const counts = answer.faces.map((face) => face.face_count);
  const several = counts.some((count) => count > 1) ? " The largest face of each was compared." : "";
  return `Measured at this threshold: ${found || answer.source}.${several}`;
}

function drawScale(answer) {
  const marks = points
    .filter((point) => point.fmr !== null)
    .map((point) => ({ at: point.threshold, label: `FMR ${point.fmr}` }));
  const values = [answer.similarity, answer.threshold, ...marks.map((mark) => mark.at)];
  const low = Math.min(...values) - 0.04;
  const high = Math.min(1, Math.max(...values) + 0.02);
  const x = (value) => (600 * (value - low)) / (high - low);
  const tag = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(tag, "svg");
  svg.setAttribute("viewBox", "0 0 600 64");
  const add = (name, attributes, text) => {
    const part = document.createElementNS(tag, name);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    if (text) part.textContent = text;
    svg.append(part);
  };
  add("line", { x1: 0, x2: 600, y1: 32, y2: 32, stroke: "currentColor", "stroke-width": 2 });
  let last = -100;
  for (const mark of marks.sort((a, b) => a.at - b.at)) {
    const chosen = Math.abs(mark.at - answer.threshold) < 1e-6;
    add("line", {
      x1: x(mark.at), x2: x(mark.at), y1: 22, y2: 42,
      stroke: "currentColor", "stroke-width": chosen ? 4 : 1.5,
    });
    if (x(mark.at) - last > 70) {
      add("text", { x: x(mark.at), y: 60, "text-anchor": "middle" }, mark.label);
      last = x(mark.at);
    }
  }
  add("circle", { cx: x(answer.similarity), cy: 32, r: 8, fill: "var(--accent)" });
  const anchor = x(answer.similarity) > 540 ? "end" : x(answer.similarity) < 60 ? "start" : "middle";
  add("text", { x: x(answer.similarity), y: 14, "text-anchor": anchor, class: "here" },
    answer.similarity.toFixed(4));
  byId("scale").replaceChildren(svg);
  byId("scale").setAttribute("aria-label",
    `Similarity ${answer.similarity.toFixed(4)}; the threshold is ${answer.threshold.toFixed(4)}`);
}

for (const holder of document.querySelectorAll(".photo")) {
  const side = holder.dataset.side;
  const drop = holder.querySelector(".drop");
  holder.querySelector("input").addEventListener("change", (event) => choose(side, event.target.files[0]));
  holder.querySelector(".camera").addEventListener("click", () => attempt(() => photograph(side)));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    choose(side, event.dataTransfer.files[0]);
  });
}

async function photograph(side) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: true });
  } catch {
    throw new Refused({ detail: "The camera can't be used; choose a file instead." });
  }
  const dialog = byId("camera-dialog");
  const video = byId("video");
  video.srcObject = stream;
  const stop = () => { stream.getTracks().forEach((track) => track.stop()); };
  dialog.addEventListener("close", stop, { once: true });
  byId("camera-close").onclick = () => dialog.close();
  byId("shoot").onclick = () => {
    const canvas = element("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      dialog.close();
      choose(side, new File([blob], "camera.png", { type: "image/png" }));
    }, "image/png");
  };
  dialog.showModal();
}

// Gallery

let people = [];
let after = null;

async function loadPeople(more = false) {
  const query = more && after ? `?after=${encodeURIComponent(after)}` : "";
  let page;
  try {
    page = await ask(`/v1/subjects${query}`);
  } catch (error) {
    if (error.status !== 404) throw error;
    byId("no-gallery").hidden = false;
    byId("with-gallery").hidden = true;
    return;
  }
  people = more ? [...people, ...page.subjects] : page.subjects;
  after = page.next;
  byId("more").hidden = !after;
  listPeople();
}

function listPeople() {
  const wanted = byId("filter").value.trim().toLowerCase();
  const shown = people.filter((person) => person.name.toLowerCase().includes(wanted));
  byId("people").replaceChildren(
    ...shown.map((person) => {
      const remove = element("button", { type: "button", className: "danger", textContent: "Remove" });
      remove.setAttribute("aria-label", `Remove ${person.name}`);
      remove.addEventListener("click", () => attempt(() => removePerson(person), remove));
      const photographs = `${person.templates} photograph${person.templates === 1 ? "" : "s"}`;
      const consent = person.consent ? `consent: ${person.consent.basis}` : "no consent recorded";
      return element("li", {},
        element("span", { className: "name", textContent: person.name }),
        element("span", { className: "small", textContent: `${photographs}; ${consent}` }), remove);
    }),
  );
  if (!shown.length) byId("people").append(element("li", { textContent: "Nobody." }));
}

async function removePerson(person) {
  const dialog = byId("confirm-dialog");
  byId("confirm-text").textContent =
    `${person.name} and ${person.templates} template(s) are deleted for good.`;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue !== "yes") return;
  await ask(`/v1/subjects/${encodeURIComponent(person.id)}`, { method: "DELETE" });
  await loadPeople();
}

byId("enroll-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  attempt(async () => {
    const body = new FormData();
    body.append("name", form.elements.name.value);
    const basis = form.elements.consent.value.trim();
    if (basis) body.append("consent", JSON.stringify({ basis }));
    for (const file of form.elements.images.files) body.append("images", file);
    const answer = await ask("/v1/subjects", { method: "POST", body });
    byId("enrolled").replaceChildren(element("ul", {}, ...answer.results.map((result) =>
      element("li", {
        textContent: result.template === null ? `${result.source}: not used, ${result.reason}`
          : result.new ? `${result.source}: enrolled` : `${result.source}: was enrolled already`,
      }))));
    form.elements.images.value = "";
    await loadPeople();
  }, form.querySelector("button"));
});

byId("search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  attempt(async () => {
    const body = new FormData();
    body.append("image", form.elements.image.files[0]);
    const answer = await ask("/v1/identify", { method: "POST", body });
    const lines = answer.faces.map((face, index) => {
      const best = face.candidates[0];
      const which = answer.faces.length > 1 ? `Face ${index + 1}: ` : "";
      if (!face.decidable) return `${which}can't be decided: ${face.reason}.`;
      if (face.subject) return `${which}${face.subject}, similarity ${face.similarity.toFixed(4)}.`;
      if (!best) return `${which}the gallery is empty.`;
      return `${which}nobody here. The closest is ${best.subject}, ${best.similarity.toFixed(4)}.`;
    });
    if (!lines.length) lines.push("No face was found.");
    lines.push(`Threshold ${answer.threshold.toFixed(4)}: ${answer.operating_point}.`);
    byId("found").replaceChildren(...lines.map((text) => element("p", { textContent: text })));
  }, form.querySelector("button"));
});
byId("filter").addEventListener("input", listPeople);
byId("more").addEventListener("click", () => attempt(() => loadPeople(true), byId("more")));

// Models

async function loadModels() {
  const answer = await ask("/v1/models");
  points = answer.operating_points;
  const facts = [["Pack", answer.pack], ["Runtime", answer.runtime]];
  for (const [name, model] of [["Detector", answer.detector], ["Embedder", answer.embedder]]) {
    facts.push([name, `${model.title} (${model.id})`]);
    facts.push([`${name} license`, `${model.license}; commercial use: ${model.commercial_use}`]);
  }
  byId("model-facts").replaceChildren(
    ...facts.flatMap(([term, text]) => [
      element("dt", { textContent: term }), element("dd", { textContent: text }),
    ]),
  );
  byId("points").replaceChildren(
    ...points.map((point) => element("tr", {},
      element("td", { textContent: point.threshold.toFixed(4) }),
      element("td", { textContent: point.fmr === null ? "not measured" : String(point.fmr) }),
      element("td", { textContent: point.fnmr === null ? "not measured" : percent(point.fnmr) }),
      element("td", { textContent: point.evidence || "" }))),
  );
}

// Views and the key

const views = { compare: null, gallery: loadPeople, models: loadModels };

function open() {
  const name = location.hash.slice(1) in views ? location.hash.slice(1) : "compare";
  for (const view of Object.keys(views)) byId(view).hidden = view !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (views[name]) attempt(() => views[name]());
  else show("");
}

function openKey() {
  const dialog = byId("key-dialog");
  if (!dialog.open) dialog.showModal();
}

byId("key-button").addEventListener("click", openKey);
byId("key-dialog").addEventListener("close", () => {
  if (byId("key-dialog").returnValue !== "save") return;
  sessionStorage.setItem("key", byId("key").value.trim());
  byId("key").value = "";
  open();
});
window.addEventListener("hashchange", open);
open();
