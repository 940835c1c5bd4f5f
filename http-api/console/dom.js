// Makes DOM nodes and texts. Text never becomes markup: nothing here parses HTML.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'value') node.value = value;
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

/** Makes an HTML element. Attributes that begin with `on` are listeners. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** Makes an SVG element. */
export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

const shown = new WeakMap();

/**
 * Shows `make()` inside of `node`, if `data` differs from the last call. Keeps the keyboard focus on
 * the element with the same link or `data-focus`.
 */
export function show(node, data, make) {
  const signature = JSON.stringify(data);
  if (shown.get(node) === signature) return;
  shown.set(node, signature);
  const active = node.contains(document.activeElement) ? document.activeElement : null;
  const name = active?.getAttribute('data-focus') ?? active?.getAttribute('href');
  node.replaceChildren(...[make()].flat(Infinity).filter((it) => it || it === 0));
  if (!name) return;
  const same = (it) => (it.getAttribute('data-focus') ?? it.getAttribute('href')) === name;
  [...node.querySelectorAll('a, button, summary')].find(same)?.focus();
}

/**
 * A table that becomes a list of cards on a phone. A column is `[heading, cell, class]`. Roles are
 * spelt out because `display: block` takes them away.
 */
export function table(label, columns, rows, empty = 'Nothing here.') {
  if (rows.length === 0) return h('p', { class: 'soft' }, empty);
  const head = columns.map(([name, , kind]) => h('th', { role: 'columnheader', scope: 'col', class: kind }, name));
  const body = rows.map((row) => h('tr', { role: 'row' }, columns.map(([name, cell, kind]) =>
    h('td', { role: 'cell', 'data-label': name, class: kind }, cell(row) ?? ''))));
  return h('table', { role: 'table', 'aria-label': label },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, head)), h('tbody', { role: 'rowgroup' }, body));
}

/** A list of figures: `[name, value, class]`. */
export const figures = (rows) => h('div', { class: 'cards' }, rows.map(([name, value, kind]) =>
  h('dl', { class: 'card' }, h('dt', {}, name), h('dd', { class: kind }, value ?? '–'))));

/** A list of facts: `[name, value]`. */
export const facts = (rows) => h('dl', { class: 'facts panel' }, rows.map(([name, value]) =>
  [h('dt', {}, name), h('dd', {}, value ?? '–')]));

const TONES = {
  PAID: 'good', active: 'good', consumed: 'good', leader: 'good', follower: 'good',
  FAILED: 'bad', CANCELLED: 'soft', expired: 'soft', released: 'soft',
  PENDING: 'warn', PROCESSING: 'warn', learner: 'warn',
};

/** A status in a frame. Its word says what it is; the colour only helps. */
export const tag = (word) => h('span', { class: `tag ${TONES[word] ?? 'soft'}` }, word);

/** A labelled form field. */
export const field = (label, input) => h('label', {}, label, input);

/** The whole answer as JSON. */
export const raw = (data) => h('details', {}, h('summary', {}, 'Raw JSON'),
  h('pre', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Raw JSON' }, JSON.stringify(data, null, 2)));

const whole = new Intl.NumberFormat('en');
const exact = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const number = (value) => Number.isFinite(value) ? whole.format(value) : '–';
export const rate = (value) => Number.isFinite(value) ? exact.format(value) : '–';
export const millis = (seconds) => Number.isFinite(seconds) ? `${exact.format(seconds * 1000)} ms` : '–';

/** Bytes in binary units. */
export function bytes(value) {
  if (!Number.isFinite(value)) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${exact.format(value)} ${units[unit]}`;
}

/** The time of day, in the zone of the browser. */
export const clock = (at) => new Date(at).toLocaleTimeString('en-GB');

/** The time of day of a time stamp, with its date in the title. */
export const time = (text) => h('time', { datetime: text, title: text }, clock(text));

/** Seconds until a time stamp, in words. */
export function left(text) {
  const seconds = Math.round((Date.parse(text) - Date.now()) / 1000);
  return seconds > 0 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : 'over';
}
