// What every page does: forms that speak to the API, dialogs, theme, navigation at phone width, times where one is.
// A form says where it goes: <form data-method="POST" data-action="/api/v1/holds" data-then="reload">. Its fields become
// one JSON object; data-type on a field says number, flag, list (a line each) or json; empty fields are left out.

const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";

/** Ask the API. Returns the answer's body; throws the problem document. */
export async function api(method, address, body) {
  const headers = { Accept: "application/json" };
  if (csrf && method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (body !== undefined && !(body instanceof Blob)) headers["Content-Type"] = "application/json";
  const sent = body instanceof Blob || body === undefined ? body : JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(address, { method, headers, body: sent, credentials: "same-origin" });
  } catch {
    throw { title: document.body.dataset.away, status: 0 };
  }
  const type = answer.headers.get("Content-Type") ?? "";
  const said = type.includes("json") ? await answer.json() : null;
  if (!answer.ok) throw said ?? { title: answer.statusText, status: answer.status };
  return said;
}

/** Show a sentence at the corner; kind: good, bad, warn, info. */
export function toast(text, kind = "good") {
  const box = document.getElementById("toasts");
  const one = document.createElement("div");
  one.className = `note ${kind}`;
  one.setAttribute("role", kind === "bad" ? "alert" : "status");
  one.textContent = text;
  box.append(one);
  setTimeout(() => one.remove(), kind === "bad" ? 12000 : 6000);
}

/** Say a problem document in words. */
export function words(problem) {
  const more = (problem.errors ?? []).map((one) => `${one.path}: ${one.expected}`).join("; ");
  return [problem.title, problem.detail, more].filter(Boolean).join(". ");
}

function valueOf(field) {
  if (field.type === "checkbox") return field.checked;
  const text = field.type === "password" ? field.value : field.value.trim();
  if (text === "") return field.dataset.empty === "send" ? (field.dataset.type === "list" ? [] : "") : undefined;
  switch (field.dataset.type) {
    case "number": return Number(text);
    case "flag": return text === "true";
    case "list": return text.split("\n").map((line) => line.trim()).filter(Boolean);
    case "json": return JSON.parse(text);
    case "time": return new Date(text).toISOString();
    default: return text;
  }
}

function bodyOf(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.name.startsWith("_") || field.disabled || (field.type === "radio" && !field.checked)) continue;
    if (field.type === "checkbox" && field.dataset.type === "choice") {
      const at = place(body, field.name);
      at.object[at.key] ??= [];
      if (field.checked) at.object[at.key].push(field.value);
      continue;
    }
    const value = valueOf(field);
    if (value === undefined) continue;
    const at = place(body, field.name);
    at.object[at.key] = value;
  }
  return body;
}

// "select.recording" is a member of an object; "values.access\\.idle_min" has a name with a dot.
function place(body, name) {
  const steps = name.split(/(?<!\\)\./).map((step) => step.replaceAll("\\.", "."));
  let object = body;
  for (const step of steps.slice(0, -1)) object = object[step] ??= {};
  return { object, key: steps.at(-1) };
}

function clearWrong(form) {
  form.querySelectorAll(".wrong").forEach((one) => one.remove());
  form.querySelectorAll("[aria-invalid]").forEach((one) => one.removeAttribute("aria-invalid"));
  form.querySelector("[data-said]")?.remove();
}

function showWrong(form, problem) {
  let shown = 0;
  for (const error of problem.errors ?? []) {
    const field = form.elements.namedItem(error.path);
    if (!(field instanceof HTMLElement)) continue;
    const said = document.createElement("div");
    said.className = "wrong";
    said.id = `wrong-${error.path}`;
    said.textContent = error.expected;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", said.id);
    field.after(said);
    shown += 1;
  }
  if (shown) return;
  const note = document.createElement("div");
  note.className = "note bad";
  note.dataset.said = "";
  note.setAttribute("role", "alert");
  note.textContent = words(problem);
  form.prepend(note);
}

function afterwards(form, answer) {
  const said = form.dataset.said;
  form.dispatchEvent(new CustomEvent("vittne:done", { bubbles: true, detail: answer }));
  form.closest("dialog")?.close();
  const then = form.dataset.then ?? "reload";
  if (then === "reload") location.reload();
  else if (then === "reveal") reveal(form, answer);
  else if (then === "stay") { if (said) toast(said); form.reset(); }
  else if (then.startsWith("/")) location.assign(then.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(answer?.[name] ?? "")));
}

// What is told once: [data-fill="code"] in a dialog gets the answer's member code; closing it loads the page anew.
function reveal(form, answer) {
  const dialog = document.getElementById(form.dataset.reveal);
  for (const place of dialog.querySelectorAll("[data-fill]")) {
    const value = answer[place.dataset.fill];
    place.textContent = Array.isArray(value) ? value.join("\n") : value;
  }
  dialog.addEventListener("close", () => location.reload());
  dialog.showModal();
}

/** Ask the API; where it wants to see once more who asks, ask that, and then again. */
export async function asked(method, address, body) {
  try {
    return await api(method, address, body);
  } catch (problem) {
    if (problem.type !== "/problems/prove-again" || !document.getElementById("prove") || !(await proved())) throw problem;
    return api(method, address, body);
  }
}

// Whether somebody showed in a dialog who they are.
export function proved() {
  const dialog = document.getElementById("prove");
  const form = dialog.querySelector("form");
  form.reset();
  clearWrong(form);
  dialog.showModal();
  return new Promise((done) => {
    form.addEventListener("vittne:done", () => done(true), { once: true });
    dialog.addEventListener("close", () => setTimeout(() => done(false)), { once: true });
  });
}

// "/api/v1/roles/{_name}": a field of the form that belongs to the address; its name begins with _.
function addressOf(form) {
  return form.dataset.action.replace(/\{(_\w+)\}/g, (_, name) => encodeURIComponent(form.elements.namedItem(name).value.trim()));
}

async function send(form, button) {
  clearWrong(form);
  button?.setAttribute("disabled", "");
  try {
    const body = bodyOf(form);
    const method = form.dataset.method;
    const answer = await asked(method, addressOf(form), method === "DELETE" && !Object.keys(body).length ? undefined : body);
    afterwards(form, answer);
  } catch (problem) {
    if (problem instanceof Error) throw problem;
    showWrong(form, problem);
  } finally {
    button?.removeAttribute("disabled");
  }
}

/** Show moments in the time zone of whoever looks; the moment in UTC stays in the title. */
export function localTimes(within = document) {
  const language = document.documentElement.lang;
  for (const one of within.querySelectorAll("time[datetime]")) {
    if (one.dataset.shown) continue;
    const moment = new Date(one.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const style = one.dataset.style ?? "medium";
    const options = style === "time" ? { timeStyle: "medium" } : style === "date" ? { dateStyle: "medium" } : { dateStyle: "medium", timeStyle: "medium" };
    one.textContent = new Intl.DateTimeFormat(language, options).format(moment);
    one.title = `${one.dateTime.replace("T", " ").replace(/\.\d+Z$/, "Z")} UTC`.replace("Z UTC", " UTC");
    one.dataset.shown = "1";
  }
}

// A page's own script may import this file: under another address it is another module, and must not listen again.
if (!window.vittne) {
  window.vittne = Object.freeze({ api, asked, proved, toast, words, localTimes });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.action) return;
    event.preventDefault();
    if (form.dataset.confirm && !confirm(form.dataset.confirm)) return;
    void send(form, event.submitter);
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]");
    if (opener) document.getElementById(opener.dataset.open)?.showModal();
    if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
    const copier = event.target.closest("[data-copy]");
    if (copier) void navigator.clipboard.writeText(copier.dataset.copy).then(() => toast(document.body.dataset.copied));
    if (event.target.closest("[data-nav]")) document.querySelector(".side").classList.toggle("open");
    const from = event.target.closest("[data-copy-from]");
    if (from) void navigator.clipboard.writeText(from.parentElement.querySelector("[data-fill]").textContent).then(() => toast(document.body.dataset.copied));
    if (event.target.closest("[data-reload]")) location.reload();
    const theme = event.target.closest("[data-theme-choice]");
    if (theme) {
      localStorage.setItem("vittne.theme", theme.dataset.themeChoice);
      location.reload();
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.removeAttribute("open");
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    document.querySelector(".side.open")?.classList.remove("open");
    document.querySelectorAll("details.menu[open]").forEach((menu) => menu.removeAttribute("open"));
  });

  localTimes();
  document.addEventListener("htmx:afterSwap", (event) => localTimes(event.target));
  document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-CSRF-Token"] = csrf; });
  document.addEventListener("htmx:responseError", () => toast(document.body.dataset.away, "bad"));
}
