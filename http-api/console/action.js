// Every write of the console goes through one dialog. It shows the same request as a `curl` and a
// `holdfast` line, asks for confirmation, sends an idempotency key, and says what became of it.

import { newKey, token, write } from './api.js';
import { h, field } from './dom.js';
import { refresh } from './live.js';

/** A word as a POSIX shell reads it. */
export const quoted = (word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replaceAll("'", `'\\''`)}'`;

/** The request as a `curl` line. It names the token's variable, never the token. */
export function curl({ method, path, body }, key) {
  const words = ['curl', '-X', method, quoted(location.origin + path)];
  if (token()) words.push('-H', '"Authorization: Bearer $HOLDFAST_TOKEN"');
  if (key) words.push('-H', quoted(`Idempotency-Key: ${key}`));
  if (body !== undefined) words.push('-H', quoted('Content-Type: application/json'), '-d', quoted(JSON.stringify(body)));
  return words.join(' ');
}

/** The request as a `holdfast` line. */
export function command({ words }, key) {
  const all = ['holdfast', ...words, ...(key ? ['--key', key] : []), '--url', location.origin];
  return all.map((word) => quoted(String(word))).join(' ');
}

const OUTCOMES = {
  rejected: 'Refused; nothing was changed.',
  not_applied: 'Not done; nothing was changed. Try again.',
  unknown: 'Unknown: it may have been done. Try again; the same key never does it twice.',
};

function input([name, label, options = {}]) {
  const { choices, ...attributes } = options;
  const node = choices
    ? h('select', { name }, choices.map((choice) => h('option', {}, choice)))
    : h('input', { name, autocomplete: 'off', ...attributes });
  return [name, node, field(label, node)];
}

/**
 * Opens the dialog. `fields` are `[name, label, attributes]`; `request(values)` gives
 * `{method, path, body, words}`; `confirm` is a text that must be typed first, for what cannot be
 * undone; `keyed` says whether the endpoint takes an idempotency key.
 */
export function act({ title, about, fields = [], confirm, keyed, danger, request, done }) {
  let key = keyed ? newKey() : null;
  const inputs = fields.map(input);
  const typed = confirm ? h('input', { name: 'confirm', autocomplete: 'off' }) : null;
  const values = () => Object.fromEntries(inputs.map(([name, node]) => [name, node.value.trim()]));
  const lines = h('div', {});
  const result = h('p', { role: 'status' });
  const go = h('button', { type: 'submit', class: danger ? 'danger' : 'main' }, title);
  const close = h('button', { type: 'button', onclick: () => dialog.close() }, 'Close');

  const update = () => {
    const asked = request(values());
    go.disabled = Boolean(typed) && typed.value.trim() !== confirm;
    lines.replaceChildren(
      h('pre', { class: 'wrap', 'data-line': 'curl' }, curl(asked, key)),
      h('pre', { class: 'wrap', 'data-line': 'holdfast' }, command(asked, key)));
  };
  const submit = async (event) => {
    event.preventDefault();
    const { method, path, body } = request(values());
    go.disabled = true;
    result.className = '';
    result.textContent = 'Sent; waiting for the answer.';
    try {
      const answer = await write(method, path, body, key);
      result.className = 'good';
      result.textContent = answer.status === 202 ? 'Accepted.' : 'Done.';
      key = keyed ? newKey() : null;
      // The view asks again anyway, and shows what goes wrong then.
      Promise.resolve(done?.(answer.body, (node) => result.append(' ', node))).catch(() => null);
      refresh();
      close.focus();
    } catch (problem) {
      result.className = 'bad';
      result.replaceChildren(`${OUTCOMES[problem.outcome] ?? OUTCOMES.unknown} ${problem.message}`);
      const code = problem.body?.error;
      if (code) result.append(' ', h('a', { href: '/docs#Problem' }, `About ${code}`));
      // A refusal decides nothing about the key; an unknown outcome must keep it.
      if (problem.outcome === 'rejected' && keyed) key = newKey();
    }
    update();
  };

  const dialog = h('dialog', { 'aria-labelledby': 'act-title', onclose: () => dialog.remove() },
    h('form', { onsubmit: submit, oninput: update },
      h('h2', { id: 'act-title' }, title), about ? h('p', {}, about) : null,
      inputs.map(([, , label]) => label),
      typed ? field(`This cannot be undone. Type ${confirm} to confirm.`, typed) : null,
      result, h('div', { class: 'row' }, go, close),
      h('details', {}, h('summary', {}, 'The same from a terminal'), lines)));
  document.body.append(dialog);
  update();
  dialog.showModal();
}

/** A button that opens the dialog of an action. */
export const button = (label, open, attributes) =>
  h('button', { type: 'button', 'data-focus': label, ...attributes, onclick: () => act(open()) }, label);
