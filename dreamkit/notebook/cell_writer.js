// Reads and writes the parameters cells of the notebook that this widget lies in, and copies text.
// JupyterLab gives no access to a notebook from its outputs; `dreamkit lab` exposes the application as window.jupyterapp.

function notebook(el) {
  const app = window.jupyterapp ?? window.jupyterlab;
  if (!app) return null;
  for (const panel of app.shell.widgets("main")) {
    if (panel.node.contains(el) && panel.content?.widgets) return panel.content;
  }
  return null;
}

function tagged(el) {
  const cells = notebook(el)?.widgets ?? null;
  return cells?.filter((cell) => (cell.model.getMetadata("tags") ?? []).some((tag) => tag.endsWith("parameters")));
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function render({ model, el }) {
  el.hidden = true;
  const answer = async (message) => {
    if (message.kind === "copy") {
      model.send({ kind: "copied", done: await copy(message.text) });
      return;
    }
    if (message.kind === "write") {
      const cell = tagged(el)?.find((one) => one.model.id === message.id);
      const same = cell?.model.sharedModel.getSource() === message.old;
      if (same) cell.model.sharedModel.setSource(message.text);
      model.send({ kind: "written", done: same, values: message.values });
      return;
    }
    const found = tagged(el)?.map((cell) => ({
      id: cell.model.id,
      tags: cell.model.getMetadata("tags"),
      source: cell.model.sharedModel.getSource(),
    }));
    model.send({ kind: "cells", cells: found ?? null });
  };
  model.on("msg:custom", answer);
  return () => model.off("msg:custom", answer);
}

export default { render };
