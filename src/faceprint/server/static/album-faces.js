// Faces of the album: their pictures, and the photograph of a face.

import { ask, attempt, byId, element } from "./api.js";

const AT_ONCE = 100; // thumbnails of one request

const inView = new Map(); // face's id -> element that waits for its picture
let asking = false;

// Asks for the pictures that are missing in a list of faces.
export function showPictures(list) {
  for (const item of list.children) {
    if (!item.querySelector("img")) inView.set(item.dataset.face, item);
  }
  if (inView.size && !asking) attempt(fetchThumbnails);
}

// Lets go of pictures, which are some kilobytes each.
export function dropPictures(list) {
  for (const item of list.children) {
    inView.delete(item.dataset.face);
    item.querySelector(".picture").replaceChildren();
  }
}

async function fetchThumbnails() {
  asking = true;
  try {
    while (inView.size) {
      const some = [...inView].slice(0, AT_ONCE);
      const query = some.map(([id]) => `face=${id}`).join("&");
      const { thumbnails } = await ask(`/v1/album/thumbnails?${query}`);
      for (const [id, item] of some) {
        if (!inView.delete(id) || !thumbnails[id]) continue; // it has left the view
        const image = element("img", { alt: "", src: thumbnails[id] });
        item.querySelector(".picture").replaceChildren(image);
      }
    }
  } finally {
    asking = false;
  }
}

// One face: a box to select it, with its picture as the label, and a button for its photograph.
export function faceItem(face, onSelect) {
  const box = element("input", { type: "checkbox" });
  box.addEventListener("change", () => onSelect(face.id, box.checked));
  const open = element("button", { type: "button", className: "open", textContent: face.photograph });
  open.addEventListener("click", () => attempt(() => showPhotograph(face)));
  const item = element("li", { className: "face" },
    element("label", {}, box, element("span", { className: "picture" })), open);
  item.dataset.face = face.id;
  return item;
}

// Says what may have changed about a face since its element was made.
export function describeFace(item, face) {
  const words = [`Face in ${face.photograph}`];
  if (face.similarity !== null) words.push(`similarity ${face.similarity.toFixed(2)}`);
  if (face.doubtful) words.push("doubtful");
  if (face.reason) words.push(face.reason);
  item.querySelector("input").setAttribute("aria-label", words.join(", "));
  item.querySelector(".open").setAttribute("aria-label", `${face.photograph}: show the photograph`);
  item.title = words.join("\n");
  const note = face.doubtful ? "doubtful" : face.reason;
  let mark = item.querySelector(".mark");
  if (!note) mark?.remove();
  else if (!mark) item.querySelector("label").append((mark = element("span", { className: "mark" })));
  if (note) mark.textContent = note;
}

async function showPhotograph(face) {
  const dialog = byId("photograph-dialog");
  const image = byId("photograph");
  const frame = byId("photograph-frame");
  const photograph = await ask(`/v1/album/faces/${face.id}/photograph`);
  byId("photograph-title").textContent = photograph.name;
  image.src = photograph.image;
  image.alt = `The photograph ${photograph.name}; the face is framed`;
  const [x1, y1, x2, y2] = photograph.box;
  const share = (part, whole) => `${(100 * part) / whole}%`;
  frame.style.left = share(x1, photograph.width);
  frame.style.top = share(y1, photograph.height);
  frame.style.width = share(x2 - x1, photograph.width);
  frame.style.height = share(y2 - y1, photograph.height);
  await image.decode().catch(() => {});
  dialog.showModal();
}

byId("photograph-close").addEventListener("click", () => byId("photograph-dialog").close());
byId("photograph-dialog").addEventListener("close", () => byId("photograph").removeAttribute("src"));
