// Recordings: columns that this browser hides, times of filters, kept searches, tags, checks, and downloads.

const { localTimes, toast, words } = window.vittne; // console.js comes first

const HIDDEN = "vittne.recordings.hidden";

// Columns

function hiddenColumns() {
  try {
    const kept = JSON.parse(localStorage.getItem(HIDDEN));
    if (Array.isArray(kept)) return kept.filter((one) => typeof one === "string");
  } catch {
    // as if nothing were kept
  }
  return ["tags", "site"];
}

function showColumns() {
  const hidden = hiddenColumns();
  for (const table of document.querySelectorAll("table.recordings")) table.dataset.hidden = hidden.join(" ");
  for (const box of document.querySelectorAll("#columns input")) box.checked = !hidden.includes(box.value);
}

document.getElementById("columns")?.addEventListener("change", () => {
  const boxes = [...document.querySelectorAll("#columns input")];
  localStorage.setItem(HIDDEN, JSON.stringify(boxes.filter((box) => !box.checked).map((box) => box.value)));
  showColumns();
});

// Times: what people write is where they are, what is asked for is UTC.

const local = (moment) => new Date(moment - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 16);

for (const field of document.querySelectorAll("[data-moment]")) {
  const sent = field.form.elements.namedItem(field.dataset.moment);
  if (sent.value) field.value = local(new Date(sent.value));
  field.addEventListener("input", () => {
    sent.value = field.value ? new Date(field.value).toISOString() : "";
  });
}

// What is empty is not asked for: addresses stay short.
document.addEventListener("htmx:configRequest", (event) => {
  const given = event.detail.parameters;
  for (const name of Object.keys(given)) if (given[name] === "") delete given[name];
});

// A kept search is what the address says.
const NUMBERS = new Set(["longer_s", "shorter_s", "worse_mos", "better_mos", "days"]);
const FLAGS = new Set(["paused", "held", "restricted", "quarantined", "erased", "unanswered", "canary"]);

document.querySelector('[data-open="keep"]')?.addEventListener("click", () => {
  const query = {};
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (value === "" || name === "cursor") continue;
    query[name] = NUMBERS.has(name) ? Number(value) : FLAGS.has(name) ? value === "true" : value;
  }
  document.getElementById("keep-form").elements.namedItem("query").value = JSON.stringify(query);
});

// A tag is part of the address.
document.querySelector("[data-tag]")?.addEventListener("submit", (event) => {
  const form = event.target;
  form.dataset.action = form.dataset.action.replace(/[^/]*$/, encodeURIComponent(form.querySelector("[data-tag-text]").value.trim()));
}, { capture: true });

// Checks

function line(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

document.addEventListener("vittne:done", (event) => {
  if (!event.target.matches("[data-verify]")) return;
  const box = document.getElementById("verdict");
  const found = event.detail;
  const time = document.createElement("time");
  time.dateTime = found.at;
  const head = line("p", `note ${found.ok ? "good" : "bad"}`, found.ok ? box.dataset.good : box.dataset.bad);
  const when = line("p", "small muted", "");
  when.append(time, ` · ${box.dataset.asked} ${found.by}`);
  const list = document.createElement("ul");
  for (const check of found.checks) {
    const kind = { holds: "good", fails: "bad" }[check.result] ?? "warn";
    const one = document.createElement("li");
    one.append(line("span", `badge ${kind}`, box.dataset[check.result] ?? check.result), " ", line("b", "", check.name), " ", line("span", "", check.words));
    list.append(one);
  }
  box.replaceChildren(head, list, when);
  box.hidden = false;
  localTimes(box);
});

// Downloads: what was refused is said in the dialog, what comes becomes a file.

async function take(form, button) {
  form.querySelector("[data-said]")?.remove();
  button.disabled = true;
  try {
    const given = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    const answer = await fetch(`${form.getAttribute("action")}?${given}`, { credentials: "same-origin" });
    if (!answer.ok) {
      const said = line("div", "note bad", words(await answer.json()));
      said.dataset.said = "";
      said.setAttribute("role", "alert");
      form.querySelector(".body").prepend(said);
      return;
    }
    save(await answer.blob(), answer);
    for (const note of JSON.parse(answer.headers.get("Vittne-Notes") ?? "[]")) toast(note, "warn");
    form.closest("dialog").close();
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-take]")) return;
  event.preventDefault();
  void take(event.target, event.submitter);
});

// All that are listed, at once.

const listed = () => [...document.querySelectorAll("[data-kept]")].map((row) => row.dataset.kept);
const bulk = document.querySelector("[data-bulk]");

document.querySelector('[data-open="bulk"]')?.addEventListener("click", () => {
  bulk.querySelector("[data-count]").textContent = bulk.dataset.tCount.replace("{n}", listed().length);
  bulk.querySelector("[data-problem]").replaceChildren();
  bulk.querySelector("button.primary").disabled = !listed().length;
});

bulk?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter;
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": document.querySelector('meta[name="csrf"]').content };
  const body = JSON.stringify({ recordings: listed(), reason: bulk.elements.namedItem("reason").value.trim() });
  const send = () => fetch("/api/v1/exports", { method: "POST", headers, body, credentials: "same-origin" });
  button.disabled = true;
  try {
    let answer = await send();
    if (answer.status === 403 && (await answer.clone().json()).type === "/problems/prove-again") {
      if (!(await window.vittne.proved())) return;
      answer = await send();
    }
    if (!answer.ok) return bulk.querySelector("[data-problem]").replaceChildren(line("div", "note bad", words(await answer.json())));
    if (answer.status === 202) toast(bulk.dataset.tWaits, "info");
    else save(await answer.blob(), answer);
    bulk.closest("dialog").close();
  } finally {
    button.disabled = false;
  }
});

function save(blob, answer) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? "recording";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

showColumns();
document.addEventListener("htmx:afterSwap", showColumns);
