// Used by both pages: `scripts.py` puts this text in front of board.js and player.js.

// A DOM element. Attributes named on<event> are listeners, true stands for an empty attribute, false and undefined for none.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// A line above a page that no longer answers: its kernel was restarted. JupyterLab marks only ipywidgets' own widgets.
// The event comes when the connection of a widget that is on the page ends; returns a function that stops listening.
function markRestarted(model, root) {
  const ended = () => {
    if (root.querySelector(":scope > .dk-restarted")) return;
    root.prepend(make("div", { class: "dk-restarted", role: "alert" }, RESTARTED));
  };
  model.on("comm_live_update", ended);
  return () => model.off("comm_live_update", ended);
}

