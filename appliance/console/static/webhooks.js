// The page of webhooks: a secret is shown once, until somebody says that they have it.

const box = document.getElementById("secret");

document.addEventListener("vittne:done", (event) => {
  const secret = event.detail?.secret;
  if (!event.target.matches("[data-secret-form]") || !secret) return;
  box.querySelector("[data-secret]").textContent = secret;
  box.querySelector("[data-copy]").dataset.copy = secret;
  box.hidden = false;
  box.scrollIntoView({ block: "center" });
});

box.querySelector("[data-done]").addEventListener("click", () => location.reload());
