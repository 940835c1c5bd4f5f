// The members of the cluster, and what only the node of this page knows of itself.

import { button } from './action.js';
import { bytes, facts, h, millis, number, show, table, tag } from './dom.js';
import { health, live, total } from './live.js';

const transfer = (id) => button('Make leader', () => ({
  title: `Make node ${id} the leader`,
  about: 'Writes wait for a moment while leadership moves.',
  request: () => ({
    method: 'POST', path: '/api/v1/cluster/transfer-leader', body: { to: id }, words: ['transfer-leader', '--to', id],
  }),
}), { 'data-focus': `leader-${id}`, 'aria-label': `Make leader: node ${id}` });

const remove = (id) => button('Remove', () => ({
  title: `Remove node ${id}`,
  about: 'The node leaves the cluster for good. Its id can never be used again.',
  confirm: String(id), danger: true,
  request: () => ({ method: 'DELETE', path: `/api/v1/cluster/members/${id}`, words: ['members', 'remove', '--id', id] }),
}), { class: 'danger', 'data-focus': `remove-${id}`, 'aria-label': `Remove: node ${id}` });

const snapshot = () => button('Take a snapshot', () => ({
  title: 'Take a snapshot',
  about: 'This node writes its state to a file, so that its log can be truncated.',
  request: () => ({ method: 'POST', path: '/api/v1/cluster/snapshot', words: ['snapshot'] }),
}));

function members() {
  const { cluster } = live;
  return table('Members', [
    ['Node', (it) => it.id === cluster.node_id ? `${it.id} (this page)` : it.id],
    ['Role', (it) => tag(it.role)],
    ['Healthy', (it) => h('span', { class: it.healthy ? 'good' : 'bad' }, it.healthy ? 'yes' : 'no')],
    ['Lag', (it) => it.lag === null || it.lag === undefined ? 'unknown' : `${number(it.lag)} entries`, 'number'],
    ['HTTP', (it) => it.http_addr ? h('a', { href: `${location.protocol}//${it.http_addr}/#/nodes` }, it.http_addr) : '–'],
    ['Raft', (it) => it.raft_addr],
    ['Actions', (it) => it.role === 'leader' ? null : h('span', { class: 'row' },
      it.role === 'follower' ? transfer(it.id) : null, remove(it.id))],
  ], cluster.members);
}

function own() {
  const { cluster, metrics } = live;
  const value = (name) => total(metrics, name);
  const mean = (sum, count) => value(count) ? millis(value(sum) / value(count)) : '–';
  return facts([
    ['Term', number(cluster.term)],
    ['Committed, applied', `${number(cluster.commit_index)}, ${number(cluster.applied_index)}`],
    ['Digest', h('code', {}, cluster.digest)],
    ['Log', bytes(value('log_bytes'))],
    ['Log sync, mean', mean('log_sync_seconds_total', 'log_syncs_total')],
    ['Elections seen', number(value('raft_elections_total'))],
    ['Newest snapshot', value('snapshot_index') ? `entry ${number(value('snapshot_index'))}, ${bytes(value('snapshot_bytes'))}` : 'none yet'],
    ['Free disk', bytes(value('disk_free_bytes'))],
    ['Writes', value('writes_refused') ? h('b', { class: 'bad' }, 'refused') : 'taken'],
    ['Rebuilt from', cluster.rebuilt_from ?? 'never rebuilt'],
  ]);
}

export function open({ root, on }) {
  const lead = h('p', { class: 'lead' });
  const membersAt = h('div', {});
  const ownAt = h('div', {});
  root.append(lead, membersAt, h('h2', {}, 'This node'), ownAt, h('div', { class: 'row' }, snapshot(),
    h('a', { class: 'button', href: '/api/v1/cluster/backup', download: 'holdfast.backup' }, 'Download a backup')),
    h('p', { class: 'soft' }, 'From a terminal: ', h('code', {}, `holdfast backup FILE --url ${location.origin}`)));
  const update = () => {
    if (!live.cluster) return;
    show(lead, health(live.cluster), () => h('span', { class: health(live.cluster)[1] }, health(live.cluster)[0]));
    show(membersAt, live.cluster.members, members);
    show(ownAt, [live.cluster, total(live.metrics, 'log_syncs_total'), total(live.metrics, 'disk_free_bytes')], own);
  };
  on('state', update);
  update();
}
