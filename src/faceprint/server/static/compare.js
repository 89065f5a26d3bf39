// Comparing two photographs.

import { Refused, ask, attempt, byId, element, operatingPoints, percent } from "./api.js";
import { drawScale } from "./scale.js";

const photos = { a: null, b: null };

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
  const [answer, points] = await Promise.all([
    ask("/v1/verify?crops=true", { method: "POST", body: form }),
    operatingPoints().catch(() => []), // a key may compare and not read
  ]);
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
  byId("answer").hidden = false;
  drawScale(answer.similarity, answer.threshold, points);
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
