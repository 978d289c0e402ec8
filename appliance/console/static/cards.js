// A scorecard's questions: added, moved, taken out, and sent as one object. A question keeps its key over versions.

const { asked, words } = window.vittne;
const form = document.getElementById("card-form");
const list = form.querySelector("[data-questions]");
const empty = form.querySelector("[data-empty]");

const of = (row, name) => row.querySelector(`[data-of="${name}"]`);

// A key out of the first words, which no other question has.
function keyFor(text, taken) {
  const plain = text.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 30) || "question";
  let key = plain;
  for (let n = 2; taken.has(key); n += 1) key = `${plain}-${n}`;
  return key;
}

function questions() {
  const rows = [...list.querySelectorAll("[data-question]")];
  const taken = new Set(rows.map((row) => row.dataset.key).filter(Boolean));
  return rows.map((row) => {
    const text = of(row, "text").value.trim();
    const key = row.dataset.key || keyFor(text, taken);
    taken.add(key);
    const kind = of(row, "kind").value;
    return { key, text, kind, weight: Number(of(row, "weight").value || 0), critical: kind !== "text" && of(row, "critical").checked, optional: of(row, "optional").checked };
  });
}

form.querySelector("[data-more]").addEventListener("click", () => {
  list.append(empty.content.cloneNode(true));
  of(list.lastElementChild, "text").focus();
});

list.addEventListener("click", (event) => {
  const row = event.target.closest("[data-question]");
  if (event.target.closest("[data-drop]") && list.children.length > 1) row.remove();
  if (event.target.closest("[data-up]") && row.previousElementSibling) row.previousElementSibling.before(row);
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = form.querySelector("[data-problem]");
  place.replaceChildren();
  event.submitter.disabled = true;
  try {
    await asked("POST", "/api/v1/review-cards", { name: form.elements.namedItem("name").value.trim(), questions: questions() });
    location.assign("/compliance/review-plans");
  } catch (problem) {
    if (problem instanceof Error) throw problem;
    const said = document.createElement("div");
    said.className = "note bad";
    said.textContent = words(problem);
    place.append(said);
    event.submitter.disabled = false;
  }
});
