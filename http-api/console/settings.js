// What the node says of its cluster, the token of this tab, and the colours of the page.

import { setToken, token } from './api.js';
import { facts, field, h, show } from './dom.js';
import { live, refresh, resume } from './live.js';

const SCHEME = 'holdfast-scheme';

/** Applies the chosen colours: light, dark, or those of the system. */
export function applyScheme() {
  const scheme = localStorage.getItem(SCHEME);
  if (scheme) document.documentElement.dataset.scheme = scheme;
  else delete document.documentElement.dataset.scheme;
}

function colours() {
  const pick = h('select', { onchange: () => {
    if (pick.value) localStorage.setItem(SCHEME, pick.value);
    else localStorage.removeItem(SCHEME);
    applyScheme();
  } }, [['', 'as the system'], ['light', 'light'], ['dark', 'dark']].map(([value, text]) =>
    h('option', { value, selected: value === (localStorage.getItem(SCHEME) ?? '') }, text)));
  return field('Colours', pick);
}

function login() {
  const input = h('input', { type: 'password', name: 'token', autocomplete: 'off' });
  const state = h('p', { class: 'soft', role: 'status' });
  const say = () => { state.textContent = token() ? 'This tab sends a token.' : 'This tab sends no token.'; };
  const apply = (text) => {
    setToken(text);
    input.value = '';
    say();
    resume(null);
    refresh();
  };
  const submit = (event) => {
    event.preventDefault();
    apply(input.value.trim());
  };
  say();
  return h('form', { onsubmit: submit },
    h('p', {}, 'The token stays in this tab until you close it, and is sent as a bearer token with each request.'),
    h('div', { class: 'row' }, field('Token', input), h('button', { type: 'submit', class: 'main' }, 'Use this token'),
      h('button', { type: 'button', onclick: () => apply('') }, 'Forget the token')), state);
}

const named = (name) => name.replaceAll('_', ' ').replace(/^./, (letter) => letter.toUpperCase());

/** Every plain value of `/cluster`, so that later ones appear by themselves. */
function plain(cluster) {
  const rows = Object.entries(cluster).filter(([, value]) => value === null || typeof value !== 'object');
  return rows.map(([name, value]) => [named(name), value === null ? '–' : value === true ? 'yes' : value === false ? 'no' : String(value)]);
}

export function open({ root, on }) {
  const about = h('div', {});
  root.append(h('h2', {}, 'Token'), login(), h('h2', {}, 'Page'), h('div', { class: 'row' }, colours()),
    h('h2', {}, 'Cluster'), about,
    h('p', { class: 'soft' }, 'Flags of this node: ', h('code', {}, 'holdfast serve --help'), '. All endpoints: ',
      h('a', { href: '/docs' }, 'API reference'), '.'));
  const update = () => live.cluster && show(about, plain(live.cluster), () => facts(plain(live.cluster)));
  on('state', update);
  update();
}
