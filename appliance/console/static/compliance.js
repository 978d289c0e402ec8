// Answers of the API shown where one asked: data-into names the place, data-show a member, data-each a list of them.
import { api, localTimes, toast, words } from "./console.js";

function member(value, path) {
  return path === "" ? value : path.split(".").reduce((one, name) => one?.[name], value);
}

function fill(root, value) {
  for (const place of root.querySelectorAll("[data-show]")) {
    const found = member(value, place.dataset.show);
    const text = found === null || found === undefined ? "–" : String(found);
    if (place.tagName === "TIME" && found) place.dateTime = text;
    place.textContent = place.dataset.cut ? text.slice(0, Number(place.dataset.cut)) : text;
  }
  for (const place of root.querySelectorAll("[data-count]")) place.textContent = String(member(value, place.dataset.count).length);
  for (const template of root.querySelectorAll("template[data-each]")) {
    while (template.previousElementSibling) template.previousElementSibling.remove();
    for (const one of member(value, template.dataset.each) ?? []) {
      const made = template.content.cloneNode(true);
      fill(made, one);
      template.before(made);
    }
  }
}

function show(id, value) {
  const place = document.getElementById(id);
  fill(place, value);
  place.hidden = false;
  localTimes(place);
}

document.addEventListener("vittne:done", (event) => {
  const into = event.target.dataset.into;
  if (into) show(into, event.detail);
});

// What a hold would lie on: only the fields under data-pick are sent.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-preview]");
  if (!button) return;
  const body = {};
  for (const field of button.form.elements) {
    const [head, name] = field.name.split(".");
    if (head !== button.dataset.pick || !name || !field.value.trim()) continue;
    body[name] = field.dataset.type === "time" ? new Date(field.value).toISOString() : field.value.trim();
  }
  button.disabled = true;
  try {
    show(button.dataset.into, await api("POST", button.dataset.preview, { [button.dataset.pick]: body }));
  } catch (problem) {
    toast(words(problem), "bad");
  } finally {
    button.disabled = false;
  }
});

// Filters go into the address: days become moments, and what is empty is left out.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!("filter" in form.dataset)) return;
  event.preventDefault();
  const wanted = new URLSearchParams();
  for (const field of form.elements) {
    if (field.dataset.day && field.value) wanted.set(field.dataset.day, `${field.value}T00:00:00Z`);
    else if (field.name && field.value && (field.type !== "checkbox" || field.checked)) wanted.set(field.name, field.value);
  }
  const button = event.submitter;
  if (button?.dataset.format) wanted.set("format", button.dataset.format);
  location.assign(`${button?.dataset.target ?? location.pathname}?${wanted}`);
});

// The copy for a person: what comes is a file, what was refused is said where one asked.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.copy) return;
  event.preventDefault();
  const place = form.querySelector("[data-problem]");
  const body = Object.fromEntries([...form.elements].filter((one) => one.name).map((one) => [one.name, one.type === "checkbox" ? one.checked : one.value]));
  const csrf = document.querySelector('meta[name="csrf"]').content;
  place.replaceChildren();
  event.submitter.disabled = true;
  try {
    const answer = await fetch(form.dataset.copy, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf }, body: JSON.stringify(body), credentials: "same-origin" });
    if (!answer.ok) {
      const said = document.createElement("div");
      said.className = "note bad";
      said.textContent = words(await answer.json());
      return place.append(said);
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = form.dataset.name;
    link.click();
    setTimeout(() => location.reload(), 1500);
  } finally {
    event.submitter.disabled = false;
  }
});
