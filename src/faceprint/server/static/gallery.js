// The gallery: who is this, enrolling, and the people in it.

import { ask, attempt, byId, element } from "./api.js";

let people = [];
let after = null;

export async function loadPeople(more = false) {
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
      remove.addEventListener("click", () => attempt(() => removePerson(person)));
      const rename = element("button", { type: "button", className: "rename", textContent: "Rename" });
      rename.setAttribute("aria-label", `Rename ${person.name}`);
      rename.addEventListener("click", () => attempt(() => renamePerson(person)));
      const photographs = `${person.templates} photograph${person.templates === 1 ? "" : "s"}`;
      const consent = person.consent ? `consent: ${person.consent.basis}` : "no consent recorded";
      const item = element("li", {},
        element("span", { className: "name", textContent: person.name }),
        element("span", { className: "small", textContent: `${photographs}; ${consent}` }), rename, remove);
      item.dataset.id = person.id;
      return item;
    }),
  );
  if (!shown.length) byId("people").append(element("li", { textContent: "Nobody." }));
}

// Opens a dialog; true when it was closed with this button.
async function confirmed(dialog, value) {
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue === value;
}

async function renamePerson(person) {
  byId("rename-name").value = person.name;
  if (!(await confirmed(byId("rename-dialog"), "rename"))) return;
  const body = JSON.stringify({ name: byId("rename-name").value });
  const headers = { "Content-Type": "application/json" };
  await ask(`/v1/subjects/${encodeURIComponent(person.id)}`, { method: "PATCH", headers, body });
  await loadPeople();
  document.querySelector(`#people [data-id="${CSS.escape(person.id)}"] .rename`)?.focus();
}

async function removePerson(person) {
  byId("confirm-text").textContent =
    `${person.name} and ${person.templates} template(s) are deleted for good.`;
  if (!(await confirmed(byId("confirm-dialog"), "yes"))) return;
  await ask(`/v1/subjects/${encodeURIComponent(person.id)}`, { method: "DELETE" });
  await loadPeople();
  byId("people-title").focus(); // the button that had the focus is gone
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
