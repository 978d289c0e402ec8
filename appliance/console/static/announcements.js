// Trying an announcement: what is chosen is sent, the search is asked for until it is done, rows appear as they come.

const { api, asked, words } = window.vittne;
const root = document.getElementById("try");
const form = document.getElementById("try-form");
const enrol = document.getElementById("enrol-form");
const result = document.getElementById("try-result");
const STEP_MS = 700;

let reference = null; // what was uploaded
let running = null; // id of the try

const text = (name, values = {}) => (root.getAttribute(`data-t-${name}`) ?? name).replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
const one = (name, within = root) => within.querySelector(`[data-${name}]`);
const field = (name) => form.elements.namedItem(name);

function made(tag, className, content = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = content;
  return element;
}

function note(kind, content) {
  const box = made("div", `note ${kind}`);
  box.append(made("p", "", content));
  return box;
}

function say(place, problem) {
  place.replaceChildren(...(problem ? [note("bad", typeof problem === "string" ? problem : words(problem))] : []));
}

// 1. What to listen for

function chosen() { return field("what")?.value ?? ""; }

function showNew() {
  one("new").hidden = chosen() !== "";
  document.getElementById("try-enrol").hidden = chosen() !== "" || !reference;
}

function alike(pair) {
  if (pair.cannot_be_told_apart) return note("bad", text("same", { one: pair.first, other: pair.second }));
  const [small, large] = pair.second_in_first ? [pair.second, pair.first] : [pair.first, pair.second];
  const kind = pair.first_in_second || pair.second_in_first ? "within" : "shares";
  return note("warn", text(kind, { one: small, other: large }));
}

async function uploaded(file, kind) {
  const query = new URLSearchParams({ kind, file: file.name.slice(-100) });
  return asked("POST", `/api/v1/announcement-uploads?${query}`, file);
}

async function hear() {
  const place = one("heard");
  const [file] = field("file").files;
  reference = null;
  place.replaceChildren();
  if (file) {
    const sound = made("audio", "");
    sound.controls = true;
    sound.src = URL.createObjectURL(file);
    sound.setAttribute("aria-label", file.name);
    try {
      reference = await uploaded(file, "reference");
      place.replaceChildren(sound, made("p", "small muted", text("length", { seconds: reference.length_s.toFixed(1) })), ...reference.warnings.map((one) => note("warn", one)), ...reference.alike.map(alike));
    } catch (problem) {
      say(place, problem);
    }
  }
  showNew();
}

// 2. Where to look

function showWhere() {
  const where = form.elements.namedItem("where").value;
  for (const part of form.querySelectorAll("[data-where]")) part.hidden = !part.dataset.where.split(" ").includes(where);
}

async function wanted() {
  const body = {};
  if (chosen()) {
    body.name = chosen();
    if (root.dataset.version && chosen() === root.dataset.name) body.version = Number(root.dataset.version);
  } else {
    if (!reference) throw { title: text("file") };
    body.reference = reference.id;
  }
  const where = form.elements.namedItem("where").value;
  if (where === "calls") {
    for (const name of ["since", "until"]) if (field(name).value) body[name] = `${field(name).value}T00:00:00Z`;
    if (field("number").value.trim()) body.number = field("number").value.trim();
    body.limit = Number(field("limit").value) || 50;
  } else {
    const [file] = field("sample").files;
    if (!file) throw { title: text("sample") };
    body.sample = (await uploaded(file, where)).id;
  }
  return body;
}

// 3. What was found

const KINDS = { full: "good", partial: "warn", none: "bad" };
const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

function cell(name, ...content) {
  const made_ = document.createElement("td");
  made_.dataset.label = root.getAttribute(`data-l-${name}`);
  made_.append(...content);
  return made_;
}

function callCell(call) {
  if (call.caller === undefined || !call.caller) {
    if (!call.started_at) return cell("call", call.id.slice(0, 32));
  }
  const link = made("a", "");
  link.href = `/recordings/${encodeURIComponent(call.id)}`;
  const time = made("time", "", call.started_at);
  time.dateTime = call.started_at;
  link.append(time);
  const inside = document.createElement("div");
  inside.append(call.caller === undefined ? call.id.slice(0, 8) : call.caller ? link : call.id.slice(0, 8));
  if (call.caller) inside.append(made("div", "small muted", `${call.caller} → ${call.callee}`));
  return cell("call", inside);
}

// One row a call: what is said of the side on which most of it was heard.
function rowOf(call) {
  const row = document.createElement("tr");
  const best = [...call.parties].filter((said) => said.offset_s !== null).sort((one, other) => other.share - one.share)[0];
  const heard = document.createElement("div");
  heard.append(made("span", `badge ${KINDS[call.state] ?? ""}`, text(call.state)));
  if (best && call.state !== "full") heard.append(" ", made("span", "small muted", text("share", { percent: Math.round(100 * best.share) })));
  if (best?.again) heard.append(" ", made("span", "small muted", text("again", { n: best.again })));
  if (call.problem) heard.append(made("div", "small", call.problem));
  const at = document.createElement("div");
  if (best && call.caller) {
    const link = made("a", "button small", clock(best.offset_s));
    link.href = `/recordings/${encodeURIComponent(call.id)}#at=${Math.max(best.offset_s - 1, 0).toFixed(1)}`;
    link.title = text("here");
    at.append(link);
  } else at.append(best ? clock(best.offset_s) : "–");
  row.append(callCell(call), cell("heard", heard), cell("party", best ? text(best.party) : "–"), cell("at", at));
  return row;
}

function show(found) {
  result.hidden = false;
  const goes = found.state === "waits" || found.state === "runs";
  one("totals", result).textContent = text("totals", found.totals);
  const how = found.state === "waits" ? text("waits") : found.state === "stopped" ? text("stopped") : found.state === "failed" ? found.problem : text(found.total === null ? "counting" : "progress", found);
  one("progress", result).textContent = how;
  const bar = one("bar", result);
  bar.hidden = !goes;
  if (found.total) { bar.max = found.total; bar.value = found.done; } else bar.removeAttribute("value");
  one("rows", result).replaceChildren(...found.calls.map(rowOf));
  window.vittne.localTimes(result);
  one("stop", form).hidden = !goes;
  return goes;
}

async function follow(found) {
  running = found.id;
  while (show(found) && running === found.id) {
    await new Promise((done) => setTimeout(done, STEP_MS));
    found = await api("GET", `/api/v1/announcement-tries/${found.id}`);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = one("problem", form);
  const button = event.submitter;
  say(problem, null);
  button.disabled = true;
  try {
    const found = await asked("POST", "/api/v1/announcement-tries", await wanted());
    result.hidden = false;
    result.scrollIntoView({ block: "nearest" });
    await follow(found);
  } catch (error) {
    if (error instanceof Error) throw error;
    say(problem, error);
  } finally {
    button.disabled = false;
  }
});

one("stop", form).addEventListener("click", async () => {
  if (running) show(await api("DELETE", `/api/v1/announcement-tries/${running}`));
});

// 4. Let it count

enrol.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file] = field("file").files;
  const given = new URLSearchParams([...new FormData(enrol)].filter(([, value]) => value !== ""));
  given.set("file", file.name.slice(-100));
  say(one("problem", enrol), null);
  event.submitter.disabled = true;
  try {
    const made_ = await asked("POST", `/api/v1/announcements?${given}`, file);
    location.assign(`/compliance/announcements/${encodeURIComponent(made_.announcement.name)}`);
  } catch (error) {
    if (error instanceof Error) throw error;
    say(one("problem", enrol), error);
    event.submitter.disabled = false;
  }
});

enrol.elements.namedItem("purpose").addEventListener("change", (event) => { one("consent", enrol).hidden = event.target.value !== "consent"; });
field("what")?.addEventListener("change", showNew);
field("file").addEventListener("change", () => void hear());
form.addEventListener("change", showWhere);
showNew();
showWhere();
