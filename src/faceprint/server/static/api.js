// Talking to the server, and what every view needs.

export const byId = (id) => document.getElementById(id);

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail || problem.title || "The server did not answer");
    this.status = problem.status;
  }
}

export async function ask(path, options = {}) {
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

export function show(text) {
  byId("message").hidden = !text;
  byId("message").textContent = text;
}

// Runs an action; what goes wrong is shown at the top of the page.
export async function attempt(action, button) {
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

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function percent(rate) {
  return `${(100 * rate).toPrecision(2)} %`;
}

// The operating points of the server's models; asked for once.
let asked = null;

export async function operatingPoints() {
  asked ??= ask("/v1/models").catch((error) => {
    asked = null;
    throw error;
  });
  return (await asked).operating_points;
}

export function openKey() {
  const dialog = byId("key-dialog");
  if (!dialog.open) dialog.showModal();
}
