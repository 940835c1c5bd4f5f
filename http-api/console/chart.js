// Charts as SVG: a line over time, and a bar of stock. Each has a text for screen readers.

import { clock, h, number, svg } from './dom.js';

const WIDTH = 300;
const HEIGHT = 100;

/** A line over time. `points` are `{at, value}`; values that are not numbers leave a gap. */
export function line(title, points, show) {
  const known = points.filter((point) => Number.isFinite(point.value));
  const newest = known.at(-1);
  const top = Math.max(...known.map((point) => point.value), 0);
  const first = points[0]?.at ?? 0;
  const span = Math.max((points.at(-1)?.at ?? 0) - first, 1);
  const x = (point) => ((point.at - first) / span * WIDTH).toFixed(1);
  const y = (point) => (HEIGHT - 4 - (top > 0 ? point.value / top : 0) * (HEIGHT - 10)).toFixed(1);
  const path = known.map((point, place) => `${place ? 'L' : 'M'}${x(point)} ${y(point)}`).join('');
  const area = known.length > 1 ? `${path}L${x(newest)} ${HEIGHT}L${x(known[0])} ${HEIGHT}Z` : '';
  const minutes = Math.round(span / 60000);
  const text = newest ? `${title}: now ${show(newest.value)}, highest ${show(top)}` : `${title}: no data yet`;
  return h('figure', { class: 'panel' },
    h('figcaption', {}, h('span', {}, title), h('b', {}, newest ? show(newest.value) : 'no data yet')),
    svg('svg', {
      class: 'plot', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': text,
    }, svg('path', { class: 'area', d: area || 'M0 0' }), svg('path', { d: path || 'M0 0' })),
    h('div', { class: 'axis' }, h('span', {}, minutes ? `${minutes} min ago` : 'just now'),
      h('span', {}, newest ? `highest ${show(top)}` : ''), h('span', {}, 'now')));
}

/** The points of a line as a table, newest first. */
export function values(title, columns, samples) {
  const rows = samples.slice(-30).reverse();
  const head = h('tr', {}, h('th', { scope: 'col' }, 'Time'), columns.map(([name]) => h('th', { scope: 'col' }, name)));
  const body = rows.map((sample) => h('tr', {}, h('td', { 'data-label': 'Time' }, clock(sample.at)),
    columns.map(([name, cell]) => h('td', { 'data-label': name }, cell(sample)))));
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': title },
    h('table', { 'aria-label': title }, h('thead', {}, head), h('tbody', {}, body)));
}

const PARTS = [['free', 'stock', 'free'], ['held', 'held', 'held'], ['reserved', 'reserved', 'reserved'], ['sold', 'sold', 'sold']];

/** The units of a product, by what became of them. */
export function stock(product) {
  const all = Math.max(product.total_stock, 1);
  let from = 0;
  const parts = PARTS.map(([kind, name]) => {
    const width = product[name] / all * WIDTH;
    const part = svg('rect', { class: kind, x: from.toFixed(2), y: 0, width: width.toFixed(2), height: 10 });
    from += width;
    return part;
  });
  const text = PARTS.map(([, name, word]) => `${number(product[name])} ${word}`).join(', ');
  return svg('svg', { class: 'bar', viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: 'none', role: 'img', 'aria-label': text },
    svg('rect', { class: 'none', x: 0, y: 0, width: WIDTH, height: 10 }), parts);
}

/** The colours of a bar of stock. */
export const legend = () => h('ul', { class: 'legend' }, PARTS.map(([kind, , word]) => h('li', {},
  svg('svg', { viewBox: '0 0 10 10', 'aria-hidden': 'true' }, svg('rect', { class: kind, width: 10, height: 10 })), word)));
