// Ctrl-S (Cmd-S) inside the editor that this widget lies in saves its text, not the notebook.
function render({ model, el }) {
  el.hidden = true;
  const save = (event) => {
    const inside = el.closest(".dk-editor")?.contains(event.target);
    if (!inside || event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    model.send({ kind: "save" });
  };
  window.addEventListener("keydown", save, true);
  return () => window.removeEventListener("keydown", save, true);
}

export default { render };
