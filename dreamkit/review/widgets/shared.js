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

