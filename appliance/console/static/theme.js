// Sets light or dark before anything is painted: a page must not flash.
(() => {
  const chosen = localStorage.getItem("vittne.theme") ?? "system";
  const dark = chosen === "dark" || (chosen === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
