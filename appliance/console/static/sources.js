// The page of sources: what became of a test, step by step. All words but the steps' names are the recorder's.

const texts = document.getElementById("sources").dataset;

function line(one) {
  const item = document.createElement("li");
  const state = document.createElement("span");
  state.className = `badge ${one.state}`;
  state.textContent = texts[one.state] ?? one.state;
  const name = document.createElement("b");
  name.textContent = texts[one.step] ?? one.step;
  const said = document.createElement("span");
  said.textContent = one.where ? `${one.words} (${one.where})` : one.words;
  item.append(state, " ", name, ": ", said);
  return item;
}

document.addEventListener("vittne:done", (event) => {
  const list = document.getElementById(event.target.dataset.try ?? "");
  if (list && event.detail?.tried) list.replaceChildren(...event.detail.tried.map(line));
});
