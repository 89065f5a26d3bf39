// The page: its views, and the key for the server. Everything goes through the API.

import { loadAlbum } from "./album.js";
import { attempt, byId, openKey, show } from "./api.js";
import "./compare.js";
import { loadPeople } from "./gallery.js";
import { loadModels } from "./models.js";

const views = { compare: null, gallery: loadPeople, models: loadModels };
if (document.documentElement.dataset.album === "yes") {
  views.album = loadAlbum;
  byId("album-link").hidden = false;
}

function open() {
  const name = location.hash.slice(1) in views ? location.hash.slice(1) : "compare";
  document.documentElement.dataset.view = name;
  for (const view of Object.keys(views)) byId(view).hidden = view !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (views[name]) attempt(() => views[name]());
  else show("");
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
