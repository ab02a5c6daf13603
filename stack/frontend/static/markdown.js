// The part of Markdown that answers use, as elements. Built from text nodes only: nothing in an answer can become markup of its own.

const BLOCK = {
  fence: /^\s*```\s*([\w+-]*)\s*$/,
  heading: /^#{1,6}\s+(.*)$/,
  item: /^\s*(?:[-*]|(\d{1,3})[.)])\s+(.*)$/,
  row: /^\s*\|(.*)\|\s*$/,
  rule: /^[\s|:-]+$/,
};
const INLINE = /(`+)(.+?)\1|\*\*(.+?)\*\*|\[([^\]\n]{1,300})\]\((https?:\/\/[^\s)]{1,2000})\)/gs;

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function link(text, address) {
  const made = element("a", text);
  made.href = address;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

function inline(text) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, , code, bold, label, address] = found;
    parts.push(text.slice(from, found.index));
    if (code !== undefined) parts.push(element("code", code));
    else if (bold !== undefined) parts.push(element("strong", ...inline(bold)));
    else parts.push(link(label, address));
    from = found.index + whole.length;
  }
  parts.push(text.slice(from));
  return parts.filter((part) => part !== "");
}

// The cells of a table's line. A bar within code or after a backslash belongs to its cell.
const cells = (line) =>
  line.match(BLOCK.row)[1].match(/(?:`[^`]*`|\\\||[^|])+/g)?.map((cell) => cell.trim().replaceAll("\\|", "|")) ?? [];

function table(lines) {
  const ruled = lines.length > 1 && BLOCK.rule.test(lines[1]);
  const line = (name, text) => element("tr", ...cells(text).map((cell) => element(name, ...inline(cell))));
  const body = (ruled ? lines.slice(2) : lines).map((text) => line("td", text));
  const made = element("table", element("tbody", ...body));
  if (ruled) made.prepend(element("thead", line("th", lines[0])));
  // A frame that scrolls, reachable by keyboard, instead of a page that is too wide.
  return scrolled(made, "Table");
}

function scrolled(inner, label) {
  const frame = element("div", inner);
  frame.className = "scrolled";
  frame.tabIndex = 0;
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-label", label);
  return frame;
}

// The lines from `at` on that match, and where they end.
function run(lines, at, matches) {
  let end = at;
  while (end < lines.length && matches(lines[end])) end += 1;
  return [lines.slice(at, end), end];
}

function list(lines) {
  const items = [];
  for (const line of lines) {
    const found = line.match(BLOCK.item);
    if (found) items.push(found[2]);
    else items.push(`${items.pop()}\n${line.trim()}`);
  }
  const first = lines[0].match(BLOCK.item)[1];
  const made = element(first === undefined ? "ul" : "ol", ...items.map((item) => element("li", ...inline(item))));
  if (first !== undefined) made.start = Number(first);
  return made;
}

const starts = (line) => BLOCK.fence.test(line) || BLOCK.heading.test(line) || BLOCK.item.test(line) || BLOCK.row.test(line);

// `text` as a fragment. Unfinished text, as it streams in, comes out as well as it can.
export function render(text) {
  const made = document.createDocumentFragment();
  const lines = text.split("\n");
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    let block;
    if (BLOCK.fence.test(line)) {
      [block, at] = run(lines, at + 1, (each) => !BLOCK.fence.test(each));
      at += 1;
      made.append(scrolled(element("pre", element("code", block.join("\n"))), "Code"));
    } else if (BLOCK.heading.test(line)) {
      made.append(element("p", element("strong", ...inline(line.match(BLOCK.heading)[1]))));
      at += 1;
    } else if (BLOCK.item.test(line)) {
      [block, at] = run(lines, at, (each) => BLOCK.item.test(each) || (/^\s+\S/.test(each) && !BLOCK.fence.test(each)));
      made.append(list(block));
    } else if (BLOCK.row.test(line)) {
      [block, at] = run(lines, at, (each) => BLOCK.row.test(each));
      made.append(table(block));
    } else if (line.trim() === "") {
      at += 1;
    } else {
      [block, at] = run(lines, at, (each) => each.trim() !== "" && !starts(each));
      made.append(element("p", ...inline(block.join("\n"))));
    }
  }
  return made;
}
