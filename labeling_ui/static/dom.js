// Elements from plain values. Text goes in as text: nothing here ever parses HTML but `trustedHtml`.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// html: made by the server (labeling_ui/markdown.py), which has taken out all that could run, load or link.
export function trustedHtml(html, className) {
  const element = make("div", { class: className, dir: "auto" });
  element.innerHTML = html;
  for (const block of element.querySelectorAll("p, li, td, th, blockquote")) block.setAttribute("dir", "auto");
  return element;
}

const LONG = 20000;
const PIECE = 1000;

// A browser lays out one very long line for minutes, and many blocks at once. Joined, they are the text to the letter.
function pieces(text) {
  const made = [];
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g)) {
    for (let start = 0; start < line.length; start += PIECE) {
      const piece = make("span", { class: "piece" });
      piece.textContent = line.slice(start, start + PIECE);
      made.push(piece);
    }
  }
  return made;
}

// A text of the store, as Markdown or to the letter.
export function textBlock({ text, html }, asWritten) {
  if (html !== null && !asWritten) return trustedHtml(html, "text formatted");
  const element = make("div", { class: "text plain", dir: "auto" });
  if (text.length > LONG) element.append(...pieces(text));
  else element.textContent = text;
  return element;
}
