"use strict";
// Without this script the page works as well: it is then loaded anew every ten seconds.

const list = document.getElementById("list");
let shown = list.innerHTML;

const isPending = () => list.querySelector("[data-pending]").dataset.pending === "yes";

async function refresh() {
  const response = await fetch("/media/list", { headers: { Accept: "text/html" } });
  if (response.redirected) {
    location.assign(response.url); // the session has ended
    return;
  }
  if (!response.ok) throw new Error(`status ${response.status}`);
  const text = await response.text(); // made by the server, which escapes what people have written
  if (text === shown) return;
  shown = text;
  const focused = document.activeElement?.id;
  list.innerHTML = text;
  if (focused) document.getElementById(focused)?.focus();
}

async function follow() {
  let wait = 1000;
  for (;;) {
    await new Promise((resume) => setTimeout(resume, wait));
    if (document.hidden) continue;
    try {
      await refresh();
      wait = isPending() ? 1000 : 5000;
    } catch {
      list.querySelector("#status").textContent = "The service does not answer. Trying again…";
      shown = "";
      wait = 3000;
    }
  }
}
follow();

const say = (text) => {
  const message = document.createElement("p");
  message.className = "message bad";
  message.setAttribute("role", "alert");
  message.textContent = text;
  document.getElementById("message").replaceChildren(message);
};

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !confirm(form.dataset.confirm)) event.preventDefault();
  if (form.id !== "upload") return;
  const [file] = form.elements.file.files;
  if (file && file.size > Number(form.dataset.largest)) {
    event.preventDefault();
    say(form.dataset.tooLarge);
  } else {
    const button = form.querySelector("button");
    button.textContent = "Uploading…";
    button.setAttribute("aria-disabled", "true");
  }
});
