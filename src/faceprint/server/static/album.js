// The album: its people as groups of faces, and corrections, which are stored as they are made.

import { describeFace, dropPictures, faceItem, showPictures } from "./album-faces.js";
import { ask, attempt, byId, element } from "./api.js";

const FIRST = 24; // faces of a person that are shown at first
const STEP = 240;
const FRAME = 25; // milliseconds of work between two frames, so that the page never blocks

let album = { people: [], unassigned: [], undo: null };
let waiting = Promise.resolve(); // for the corrections before
const cards = new Map(); // person's id, or "nobody" -> card
const items = new Map(); // face's id -> element
const picked = new Set(); // faces
const chosen = new Set(); // people

const number = new Intl.NumberFormat("en");
const plural = (count, one, many) => `${number.format(count)} ${count === 1 ? one : many}`;
const label = (person) => person.name || `Person ${person.id}`;

// Showing

// The faces of a person are made when their card comes near the window: an album may have thousands.
const nearby = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) target.card.come(isIntersecting);
}, { rootMargin: "1500px" });

export async function loadAlbum() {
  album = await ask("/v1/album");
  await render();
}

async function render() {
  const shown = album;
  const faces = shown.people.reduce((sum, person) => sum + person.faces.length, 0);
  const rest = shown.unassigned.length ? `; ${plural(shown.unassigned.length, "face", "faces")} unassigned` : "";
  const gone = shown.missing ? `; ${plural(shown.missing, "photograph", "photographs")} not found` : "";
  byId("album-summary").textContent =
    `${plural(shown.people.length, "person", "people")}, ${plural(faces, "face", "faces")}${rest}${gone}.`;

  const groups = shown.people.map((person) => ({ key: person.id, person, faces: person.faces }));
  if (shown.unassigned.length) groups.push({ key: "nobody", person: null, faces: shown.unassigned });
  const there = new Set(groups.map((group) => group.key));
  const known = new Set(groups.flatMap((group) => group.faces.map((face) => face.id)));
  for (const [key, card] of cards) {
    if (there.has(key)) continue;
    nearby.unobserve(card.section);
    card.section.remove();
    cards.delete(key);
    chosen.delete(key);
  }
  const holder = byId("album-people");
  let until = performance.now() + FRAME;
  for (const [place, { key, person, faces: own }] of groups.entries()) {
    if (!cards.has(key)) cards.set(key, person ? personCard(person) : nobodyCard());
    const card = cards.get(key);
    card.update(person, own);
    // A card that stays where it is keeps the keyboard's focus.
    const there = holder.children[place];
    if (there !== card.section) holder.insertBefore(card.section, there ?? null);
    if (performance.now() < until) continue;
    await new Promise(requestAnimationFrame);
    if (album !== shown) return; // a newer album is being shown
    until = performance.now() + FRAME;
  }
  for (const [id, item] of items) {
    if (known.has(id)) continue;
    item.remove();
    items.delete(id);
    picked.delete(id);
  }
  filter();
  updateBar();
  byId("album").dataset.ready = "yes";
}

function personCard(person) {
  const choose = element("input", { type: "checkbox" });
  choose.addEventListener("change", () => {
    if (choose.checked) chosen.add(person.id);
    else chosen.delete(person.id);
    card.section.classList.toggle("chosen", choose.checked);
    updateBar();
  });
  const name = element("input", { type: "text", maxLength: 200, autocomplete: "off", placeholder: "Name" });
  name.setAttribute("aria-label", `Name of person ${person.id}`);
  const title = element("h2", {});
  const count = element("span", { className: "small count" });
  const head = element("div", { className: "head" }, title, name, count,
    element("label", { className: "check" }, choose, "Same person"));
  choose.setAttribute("aria-describedby", (title.id = `person-${person.id}`));
  const card = faceCard(head);
  card.section.dataset.person = person.id;
  name.addEventListener("change", () => {
    const text = name.value.trim();
    if (text !== card.person.name) correct({ kind: "name", person: person.id, name: text });
  });
  const updateFaces = card.update;
  card.update = (now, faces) => {
    if (document.activeElement !== name) name.value = now.name; // else somebody may be typing
    card.person = now;
    title.textContent = `Person ${now.id}`;
    const doubts = faces.filter((face) => face.doubtful).length;
    count.textContent = plural(faces.length, "face", "faces") + (doubts ? `, ${doubts} doubtful` : "");
    choose.checked = chosen.has(now.id);
    card.section.classList.toggle("chosen", choose.checked);
    updateFaces(now, faces);
  };
  return card;
}

function nobodyCard() {
  const title = element("h2", { textContent: "Unassigned" });
  const words = "Too small, blurred or turned away to be sorted, or taken out by hand.";
  return faceCard(element("div", { className: "head" }, title,
    element("span", { className: "small count", textContent: words })));
}

function faceCard(head) {
  const list = element("ul", { className: "faces" });
  const more = element("button", { type: "button" });
  more.hidden = true;
  const section = element("section", { className: "person" }, head, list, more);
  const card = { section, faces: [], limit: FIRST, near: false };
  const fill = () => {
    if (!card.near) return;
    const shown = card.faces.slice(0, card.limit);
    for (const [place, face] of shown.entries()) {
      if (!items.has(face.id)) items.set(face.id, faceItem(face, pick));
      const item = items.get(face.id);
      describeFace(item, face);
      item.querySelector("input").checked = picked.has(face.id);
      const there = list.children[place];
      if (there !== item) list.insertBefore(item, there ?? null);
    }
    while (list.children.length > shown.length) list.lastElementChild.remove();
    const left = card.faces.length - shown.length;
    more.hidden = !left;
    more.textContent = `Show ${plural(Math.min(left, STEP), "more face", "more faces")}`;
    showPictures(list);
  };
  card.come = (near) => {
    card.near = near;
    if (near) fill();
    else dropPictures(list);
  };
  section.card = card;
  nearby.observe(section);
  more.addEventListener("click", () => {
    card.limit += STEP;
    fill();
  });
  card.update = (_, faces) => {
    card.faces = faces;
    card.files = faces.map((face) => face.photograph.toLowerCase()).join("\n");
    fill();
  };
  return card;
}

function filter() {
  const text = byId("album-filter").value.trim().toLowerCase();
  const doubtful = byId("album-doubtful").checked;
  for (const [key, card] of cards) {
    const name = card.person ? card.person.name.toLowerCase() : "";
    const found = !text || name.includes(text) || String(key) === text || card.files.includes(text);
    card.section.hidden = !found || (doubtful && !card.faces.some((face) => face.doubtful));
  }
}

for (const id of ["album-filter", "album-doubtful"]) byId(id).addEventListener("input", filter);

// Selecting and correcting

function pick(id, on) {
  if (on) picked.add(id);
  else picked.delete(id);
  updateBar();
}

function updateBar(done = "") {
  const parts = [];
  if (picked.size) parts.push(plural(picked.size, "face", "faces"));
  if (chosen.size) parts.push(plural(chosen.size, "person", "people"));
  const selected = parts.length ? `${parts.join(" and ")} selected.` : "";
  byId("album-state").textContent = `${done} ${selected}`.trim() || "Nothing selected.";
  byId("album-not").disabled = !album.people.some((p) => p.faces.some((face) => picked.has(face.id)));
  byId("album-give").disabled = !picked.size;
  byId("album-merge").disabled = chosen.size < 2;
  byId("album-undo").disabled = !album.undo;
  byId("album-undo").setAttribute("aria-label", album.undo ? `Undo: ${album.undo}` : "Undo");
  byId("album-undo").title = album.undo ?? "";
}

// Corrections go one after the other: leaving a name for a button makes two of them.
function change(path, options, words, isName = false) {
  waiting = waiting.then(() => attempt(async () => {
    try {
      const answer = await ask(path, options);
      if (!isName) {
        picked.clear();
        chosen.clear();
      }
      await loadAlbum();
      updateBar(answer.done ? `${words}: ${answer.done}.` : "It was so already.");
    } catch (error) {
      await loadAlbum(); // it may have changed meanwhile
      throw error;
    } finally {
      // A button that was pressed may be disabled now: the keyboard goes on from the bar.
      if (document.activeElement === document.body) byId("album-state").focus();
    }
  }));
}

function correct(correction) {
  const headers = { "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(correction) };
  change("/v1/album/corrections", options, "Stored", correction.kind === "name");
}

byId("album-not").addEventListener("click", () => {
  const faces = album.people.flatMap((person) => person.faces.map((face) => face.id));
  correct({ kind: "not_this_person", faces: faces.filter((id) => picked.has(id)) });
});
byId("album-merge").addEventListener("click", () => correct({ kind: "merge", people: [...chosen] }));
byId("album-undo").addEventListener("click", () =>
  change("/v1/album/corrections/last", { method: "DELETE" }, "Undone"));

byId("album-give").addEventListener("click", () => {
  const people = [...album.people].sort((a, b) =>
    Number(!a.name) - Number(!b.name) || a.name.localeCompare(b.name) || a.id - b.id);
  byId("give-person").replaceChildren(
    element("option", { value: "", textContent: "Somebody new" }),
    ...people.map((person) => element("option", {
      value: person.id, textContent: `${label(person)} (${plural(person.faces.length, "face", "faces")})`,
    })),
  );
  byId("give-text").textContent = `${plural(picked.size, "face", "faces")} selected.`;
  byId("give-name").value = "";
  askForName();
  byId("give-dialog").returnValue = "";
  byId("give-dialog").showModal();
});

function askForName() {
  const isNew = !byId("give-person").value;
  byId("give-name").required = isNew;
  byId("give-new").hidden = !isNew;
}

byId("give-person").addEventListener("change", askForName);
byId("give-dialog").addEventListener("close", () => {
  if (byId("give-dialog").returnValue !== "give") return;
  const person = Number(byId("give-person").value) || null;
  const name = person ? "" : byId("give-name").value;
  correct({ kind: "give", faces: [...picked], person, name });
});
