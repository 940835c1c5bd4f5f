// The frame of the console: pages, the strip at the top, and what is shown when the node is gone.
// All state of a page is in the address after `#`, such as `#/orders?status=PAID`.

import { h, show, time } from './dom.js';
import { health, listen, live, standing, start } from './live.js';
import * as events from './events.js';
import * as holds from './holds.js';
import * as nodes from './nodes.js';
import * as orders from './orders.js';
import * as overview from './overview.js';
import * as payments from './payments.js';
import * as products from './products.js';
import * as settings from './settings.js';

const PAGES = [
  ['', 'Overview', overview],
  ['nodes', 'Nodes', nodes],
  ['products', 'Products', products],
  ['orders', 'Orders', orders],
  ['holds', 'Holds', holds],
  ['events', 'Events', events],
  ['payments', 'Payments', payments],
  ['settings', 'Settings', settings],
];

const main = document.getElementById('main');
let leave = null;

/** The page, its argument and its filters, from the address. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [name, argument] = path.split('/');
  return { name, argument, filters: new URLSearchParams(query) };
}

/**
 * Opens the page of the address. A page is `open(context)`: it fills `context.root`. With
 * `context.every`, it asks again until the user leaves it.
 */
function open(focus = true) {
  leave?.abort();
  leave = new AbortController();
  const { signal } = leave;
  const { name, argument, filters } = place();
  const [, title, page] = PAGES.find(([it]) => it === name) ?? PAGES[0];
  const root = h('div', {});
  const context = {
    root, argument, filters, signal,
    on(what, act) {
      signal.addEventListener('abort', listen((it) => it === what && act()));
    },
    every(seconds, ask, failed) {
      const run = async () => {
        if (!document.hidden) {
          await ask().catch((problem) => signal.aborted || failed?.(problem));
        }
        if (!signal.aborted) setTimeout(run, seconds * 1000);
      };
      run();
    },
  };
  const heading = argument ? `${title.replace(/s$/, '')} ${argument}` : title;
  document.title = `${heading} · Holdfast`;
  main.replaceChildren(h('h1', {}, heading), root);
  navigate(title);
  page.open(context);
  if (focus) {
    main.focus();
    scrollTo(0, 0);
  }
}

function navigate(current) {
  const links = PAGES.map(([name, title]) =>
    h('a', { href: `#/${name}`, 'aria-current': title === current ? 'page' : null }, title));
  document.getElementById('nav').replaceChildren(...links);
  const nav = document.getElementById('nav');
  const chosen = nav.querySelector('[aria-current]');
  if (chosen) nav.scrollLeft = chosen.offsetLeft - nav.clientWidth / 2 + chosen.offsetWidth / 2;
}

function strip() {
  const { cluster, failedAt } = live;
  if (!cluster) return 'asking the node';
  const [text, tone] = health(cluster);
  const orders = live.samples.at(-1)?.orders;
  const leader = cluster.leader_id === null ? 'no leader' : `leader ${cluster.leader_id}`;
  return [h('span', { class: failedAt ? 'soft' : tone }, text),
    ` · node ${cluster.node_id} · ${leader}`, orders >= 0.05 ? ` · ${orders.toFixed(1)} orders/s` : '',
    cluster.payments_paused ? h('b', { class: 'warn' }, ' · payments paused') : ''];
}

/** Where the other nodes serve the same page. Pages of one node may not ask another. */
function elsewhere() {
  const others = (live.cluster?.members ?? []).filter((member) => member.id !== live.cluster.node_id && member.http_addr);
  return others.map(({ id, http_addr: address }) =>
    [' ', h('a', { href: `${location.protocol}//${address}/${location.hash}` }, `Open on node ${id}`)]);
}

function banner() {
  if (!live.failedAt) return [];
  if (live.problem?.status === 401) {
    return [h('span', {}, 'This node asks for a token. '), h('a', { href: '#/settings' }, 'Enter one in the settings.')];
  }
  const since = new Date(live.failedAt).toISOString();
  const old = live.reachedAt ? [' What you see is from ', time(new Date(live.reachedAt).toISOString()), '.'] : '';
  return [h('span', {}, 'This node has not answered since ', time(since), '. Trying again every 2 seconds.', old), elsewhere()];
}

function frame() {
  const { cluster, failedAt } = live;
  const orders = live.samples.at(-1)?.orders?.toFixed(1);
  const shown = cluster && [standing(cluster), cluster.leader_id, cluster.payments_paused, orders, failedAt];
  show(document.getElementById('strip'), shown, strip);
  show(document.getElementById('banner'), [failedAt, live.problem?.status, location.hash], banner);
  document.body.classList.toggle('old', Boolean(failedAt));
}

settings.applyScheme();
addEventListener('hashchange', () => open());
listen((what) => what === 'state' && frame());
open(false);
start();
