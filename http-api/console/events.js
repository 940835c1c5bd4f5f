// The stream of events, as it arrives.

import { field, h, number, show } from './dom.js';
import { live, resume } from './live.js';
import { feed } from './feed.js';

const SHOWN = 100;
const GROUPS = ['order', 'hold', 'product', 'stock', 'payment'];

export function open({ root, filters, on }) {
  const chosen = filters.get('of') ?? '';
  let paused = false;
  let shown = [];
  const found = h('div', {});
  const state = h('p', { class: 'soft' });
  const pick = h('select', { onchange: () => { location.hash = pick.value ? `#/events?of=${pick.value}` : '#/events'; } },
    h('option', { value: '' }, 'all'), GROUPS.map((word) => h('option', { value: word, selected: word === chosen }, word)));
  const pause = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    pause.textContent = paused ? 'Continue' : 'Pause';
    update();
  } }, 'Pause');
  const from = h('input', { name: 'after', placeholder: '0.0', autocomplete: 'off' });
  const submit = (event) => {
    event.preventDefault();
    resume(from.value.trim() || '0.0');
  };
  const update = () => {
    if (!paused) shown = live.events.filter((event) => !chosen || event.type.startsWith(`${chosen}.`)).slice(0, SHOWN);
    show(found, shown.map((event) => event.id), () => feed(shown));
    const words = live.streams === 'open' ? 'The stream is open.' : 'Connecting to the stream.';
    show(state, [words, live.lastEvent, paused, live.events.length], () =>
      `${words} ${paused ? 'This page is paused. ' : ''}${number(live.events.length)} events kept. Newest id: ${live.lastEvent ?? 'none yet'}.`);
  };
  root.append(h('form', { class: 'row', onsubmit: submit }, field('About', pick), pause, field('Resume after this id', from),
    h('button', { type: 'submit' }, 'Resume')), state, found,
  h('p', { class: 'soft' }, 'From a terminal: ', h('code', {}, `holdfast events --follow --url ${location.origin}`)));
  on('event', update);
  on('stream', update);
  update();
}
