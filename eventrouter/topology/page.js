"use strict";
const nodes = new Map([...document.querySelectorAll(".node")].map((node) => [node.dataset.id, node]));
const edges = [...document.querySelectorAll(".edge")];
const parts = new Map([...document.querySelectorAll("#parts article")].map((part) => [part.dataset.id, part]));
const search = document.getElementById("search");

/** Show some nodes, and the edges between them; of a single one also what it is connected with. */
function show(ids) {
  const chosen = new Set(ids);
  const near = new Set(ids);
  for (const { dataset } of edges) {
    if (chosen.size === 1 && (chosen.has(dataset.source) || chosen.has(dataset.target))) {
      near.add(dataset.source).add(dataset.target);
    }
  }
  for (const [id, node] of nodes) {
    node.classList.toggle("dim", !near.has(id));
    node.classList.toggle("chosen", chosen.has(id));
  }
  for (const edge of edges) {
    const { source, target } = edge.dataset;
    const both = chosen.size === 1 ? chosen.has(source) || chosen.has(target) : chosen.has(source) && chosen.has(target);
    edge.classList.toggle("dim", !both);
  }
  const first = nodes.get(ids[0]);
  if (first) first.scrollIntoView({ block: "nearest", inline: "center" });
  const part = document.getElementById("part");
  part.replaceChildren(...(chosen.size === 1 ? [parts.get(ids[0]).cloneNode(true)] : []));
}

function showAll() {
  for (const element of [...nodes.values(), ...edges]) element.classList.remove("dim", "chosen");
  document.getElementById("part").replaceChildren();
}

search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [...parts.keys()].filter((id) => {
    const text = parts.get(id).textContent.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  document.getElementById("found").textContent = words.length ? `${found.length} of ${parts.size}` : "";
  for (const [id, part] of parts) part.hidden = !found.includes(id);
  if (words.length) show(found);
  else showAll();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-nodes]");
  const node = event.target.closest(".node");
  if (button) show(JSON.parse(button.dataset.nodes));
  else if (node) show([node.dataset.id]);
  else if (event.target.closest("#picture")) showAll();
});

document.addEventListener("keydown", (event) => {
  const node = event.target.closest(".node");
  if (node && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    show([node.dataset.id]);
  } else if (event.key === "Escape") {
    search.value = "";
    search.dispatchEvent(new Event("input"));
  }
});
