// The models, and what their thresholds are worth.

import { ask, byId, element, percent } from "./api.js";

export async function loadModels() {
  const answer = await ask("/v1/models");
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
    ...answer.operating_points.map((point) => element("tr", {},
      element("td", { textContent: point.threshold.toFixed(4) }),
      element("td", { textContent: point.fmr === null ? "not measured" : String(point.fmr) }),
      element("td", { textContent: point.fnmr === null ? "not measured" : percent(point.fnmr) }),
      element("td", { textContent: point.evidence || "" }))),
  );
}
