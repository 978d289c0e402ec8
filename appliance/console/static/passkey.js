// Passkeys: the browser asks its owner, the API checks. <button data-passkey="login" data-then="/">; kinds: login, enrol, prove.

const { api, asked, toast, words } = window.vittne;

const LOGIN = "/api/v1/session/passkey";
const PROOF = "/api/v1/session/proof/passkey";
const FACTOR = "/api/v1/factors/passkey";

async function signed() {
  const { options } = await api("POST", `${LOGIN}/options`);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return (await navigator.credentials.get({ publicKey })).toJSON();
}

async function enrolled(button) {
  const { options } = await asked("POST", FACTOR);
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const credential = (await navigator.credentials.create({ publicKey })).toJSON();
  return api("PUT", FACTOR, { credential, label: button.dataset.label ?? "" });
}

async function press(button) {
  switch (button.dataset.passkey) {
    case "login":
      await api("POST", LOGIN, { credential: await signed() });
      location.assign(button.dataset.then);
      break;
    case "prove": {
      await api("POST", PROOF, { credential: await signed() });
      const form = button.closest("form");
      form.dispatchEvent(new CustomEvent("vittne:done", { bubbles: true }));
      form.closest("dialog").close();
      break;
    }
    case "enrol": {
      const made = await enrolled(button);
      const dialog = document.getElementById(button.dataset.reveal);
      if (!made.recovery.length) return location.reload();
      dialog.querySelector("[data-fill]").textContent = made.recovery.join("\n");
      dialog.addEventListener("close", () => location.reload());
      dialog.showModal();
    }
  }
}

const isThere = Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON);
for (const button of document.querySelectorAll("[data-passkey]")) button.hidden = !isThere;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-passkey]");
  if (!button) return;
  try {
    await press(button);
  } catch (problem) {
    // A DOMException is the browser's own: its owner said no, or there is no passkey.
    toast(problem instanceof DOMException ? button.dataset.no : words(problem), "bad");
  }
});
