// Shows what the silo tells, and asks it again every two seconds while the page is to be seen. Text comes into the page as text alone.
'use strict';

const EVERY = 2000;
const PATIENCE = 15000;
const SMALL = 64;
const CELL = { width: 12, height: 18, gap: 2, least: 2 };

// From the bottom of a cell to its top.
const STATES = [
  { name: 'durable', text: 'durable', means: 'covered by a good fsync' },
  { name: 'zero', text: 'zero', means: 'a hole in the image' },
  { name: 'written', text: 'written', means: 'not yet covered by a good fsync' },
  { name: 'in-flight', text: 'in flight', means: 'being read and written now' },
  { name: 'dirty', text: 'dirty', means: 'to be written' },
];

const STEPS = {
  save: ['queued', 'setup', 'active', 'pre-switchover', 'device', 'completed'],
  restore: ['queued', 'setup', 'restoring', 'completed'],
  move: ['queued', 'setup', 'active', 'pre-switchover', 'device', 'restoring', 'completed'],
};

const PHASE_CLASSES = {
  queued: 'waiting', completed: 'good', failed: 'bad', 'needs-attention': 'bad', paused: 'warn', cancelling: 'warn', cancelled: 'waiting',
};

const byId = id => document.getElementById(id);

// --- Values as people read them, as in the command's output. ---

function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  while (Math.abs(bytes) >= 1023.5 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  const whole = Math.abs(bytes - Math.round(bytes)) < 0.005;
  const digits = unit === 0 || whole || Math.abs(bytes) >= 99.95 ? 0 : Math.abs(bytes) >= 9.995 ? 1 : 2;
  return `${bytes.toFixed(digits)} ${units[unit]}`;
}

const rate = bytesPerSecond => `${size(bytesPerSecond)}/s`;

function duration(seconds) {
  const whole = Math.round(seconds);
  const two = number => String(number).padStart(2, '0');
  if (seconds <= 0) return '0 s';
  if (seconds < 0.0995) return `${Number((seconds * 1000).toFixed(1))} ms`;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 3599.5) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (seconds < 172800) return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} min`;
  return `${Math.floor(whole / 86400)} d ${two(Math.floor(whole / 3600) % 24)} h`;
}

function age(moment, now) {
  const seconds = Math.max(0, (Date.parse(now) - Date.parse(moment)) / 1000);
  return duration(seconds < 60 ? Math.floor(seconds) : seconds).replace(/\.0+ s$/, ' s');
}

const count = number => String(number).replace(/\B(?=(\d{3})+$)/g, '\u202f');

function clock(moment) {
  const at = new Date(moment);
  const day = at.toDateString() === new Date().toDateString() ? '' : `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, '0')}-${String(at.getDate()).padStart(2, '0')} `;
  return day + [at.getHours(), at.getMinutes(), at.getSeconds()].map(part => String(part).padStart(2, '0')).join(':');
}

function percent(part, whole) {
  if (!whole) return '0 %';
  const share = 100 * part / whole;
  if (part === whole || part === 0) return `${share} %`;
  return share < 0.1 ? '< 0.1 %' : share > 99.9 ? '> 99.9 %' : share < 10 || share > 99 ? `${share.toFixed(1)} %` : `${Math.round(share)} %`;
}

const shortVersion = version => version.replace(/\+(.{8}).*$/, '+$1');
const way = migration => migration.target ? `${migration.host} → ${migration.target}` : migration.host;
const percentOf = (states, total) => STATES.filter(state => states[state.name] > 0).map(state => `${percent(states[state.name], total)} ${state.text}`).join(' · ');

// --- The document. Nodes stay as long as what they show, so that focus and selection do. ---

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const shape = (name, attributes) => shaped(document.createElementNS('http://www.w3.org/2000/svg', name), attributes);

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
}

function shaped(node, attributes) {
  set(node, attributes);
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function sayIf(node, text) {
  node.hidden = !text;
  say(node, text || '');
}

/** Makes the children of a node those of a list: one each, made once for its key. */
function fill(parent, items, keyOf, make, update) {
  const known = parent.items || (parent.items = new Map());
  const keys = new Set(items.map(keyOf));
  for (const [key, child] of known) {
    if (keys.has(key)) continue;
    child.remove();
    known.delete(key);
  }
  items.forEach((item, index) => {
    const key = keyOf(item);
    let child = known.get(key);
    if (!child) known.set(key, child = make(item));
    update(child, item);
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] || null);
  });
}

/** A table's rows: a cell is a text, or an object with text, class and, for a link, href. */
function fillRows(body, rows) {
  const names = [...body.parentNode.tHead.rows[0].cells].map(cell => cell.textContent);
  fill(body, rows, row => row.key, () => shaped(element('tr'), { role: 'row' }), (line, row) => {
    row.cells.forEach((given, index) => {
      const cell = typeof given === 'object' ? given : { text: given };
      const td = line.children[index] || line.appendChild(shaped(element('td'), { role: 'cell', 'data-name': names[index] }));
      if (td.className !== (cell.className || '')) td.className = cell.className || '';
      let target = td;
      if (cell.href || cell.pill) {
        target = td.firstElementChild || td.appendChild(document.createElement(cell.href ? 'a' : 'span'));
        if (cell.href) set(target, { href: cell.href });
        else set(target, { class: `phase ${cell.pill}` });
      }
      say(target, cell.text);
    });
  });
}

/** Names with values; what has none is left out. */
function fillFacts(list, facts) {
  fill(list, facts.filter(fact => fact[1]), fact => fact[0], fact => {
    const pair = element('div', fact[2] || '');
    pair.append(element('dt', '', fact[0]), element('dd'));
    return pair;
  }, (pair, fact) => say(pair.lastChild, fact[1]));
}

function fillNotices(parent, notices) {
  fill(parent, notices, notice => notice.what, () => {
    const made = element('p', 'notice');
    made.append(element('strong'), document.createTextNode(''));
    return made;
  }, (made, notice) => {
    say(made.firstChild, notice.what);
    say(made.lastChild, ` ${notice.text}`);
  });
}

const silenceText = silence => `has not answered since ${clock(silence.since)}. ${silence.error} `
  + (silence['last-answer'] ? `What is shown of it is of ${clock(silence['last-answer'])}.` : 'Nothing is known of it.');
const noticesOf = silent => silent.map(silence => ({ what: silence.what.charAt(0).toUpperCase() + silence.what.slice(1), text: silenceText(silence) }));

// --- Migrations ---

function factsOf(migration, now) {
  const { ram, live } = migration;
  const parts = (migration['downtime-parts'] || []).map(part => `${part.name} ${duration(part.time)}`).join(', ');
  return [
    ['Size', ram && ram.total > 0 ? size(ram.total) : ''],
    ['Written', ram && ram.total > 0 ? size(ram.transferred) : ''],
    ['Rate so far', ram && ram['bytes-per-second'] > 0 && migration.phase !== 'paused' ? rate(ram['bytes-per-second']) : ''],
    ['Remaining', ram && ram.total > 0 && !migration.ended ? size(ram.remaining) : ''],
    ['Guest changes', live ? `${rate(live['dirty-rate'])}, written ${rate(live['write-rate'])}` : ''],
    ['Iteration', live ? String(live.iteration) : ''],
    ['Expected downtime', live ? duration(live['expected-downtime']) + (live['allowed-downtime'] === undefined ? '' : ` of ${duration(live['allowed-downtime'])} allowed`) : ''],
    ['CPU throttle', live && live.throttle > 0 ? `${live.throttle} %` : ''],
    ['Downtime', migration.downtime > 0 ? duration(migration.downtime) + (parts ? ` (${parts})` : '') : ''],
    ['Guest state', migration['guest-state']],
    ['In this phase for', migration.ended ? '' : age(migration['phase-since'], now)],
    ['Queue', migration['queue-position'] > 0 ? `position ${migration['queue-position']}` : ''],
    ['Took', migration.ended && migration.started ? age(migration.started, migration.ended) : ''],
    ['Image', migration.image, 'long'],
  ];
}

function makeMigration() {
  const card = element('article', 'migration');
  const title = element('div', 'title');
  const heading = element('h3');
  heading.append(element('a'));
  title.append(heading, element('span', 'quiet'), element('span', 'phase'));
  const progress = element('div', 'progress');
  progress.append(element('progress'), element('span'));
  card.append(title, element('ol', 'steps'), element('p', 'message'), progress, element('dl', 'facts'), element('p', 'notice'));
  return card;
}

function updateMigration(card, migration, now, selected) {
  const [title, steps, message, progress, facts, trouble] = card.children;
  const link = title.children[0].firstChild;
  say(link, migration.guest);
  set(link, { href: `#${encodeURIComponent(migration.id)}`, title: 'Its RAMBlocks and pages' });
  say(title.children[1], `${migration.kind} · ${way(migration)} · ${migration.id}`);
  say(title.children[2], migration.phase);
  set(title.children[2], { class: `phase ${PHASE_CLASSES[migration.phase] || 'active'}` });
  set(card, { 'aria-current': selected ? 'true' : null, 'data-id': migration.id });

  const names = STEPS[migration.kind] || [];
  const at = names.indexOf(migration.phase);
  steps.hidden = at < 0;
  fill(steps, at < 0 ? [] : names, name => name, name => element('li', '', name), (step, name) => {
    set(step, { class: names.indexOf(name) < at ? 'done' : null, 'aria-current': name === migration.phase ? 'step' : null });
  });

  sayIf(message, migration.message);
  const total = migration.ram ? migration.ram.total : 0;
  const done = total - (migration.ram ? migration.ram.remaining : 0);
  progress.hidden = total <= 0 || migration.kind === 'restore';
  set(progress.firstChild, { max: total || 1, value: done, 'aria-label': `Pages of ${migration.guest} that are written` });
  say(progress.lastChild, `${percent(done, total)} written, ${percent(migration.ram ? migration.ram.durable : 0, total)} durable`);
  fillFacts(facts, factsOf(migration, now));
  const wrong = migration.trouble;
  sayIf(trouble, wrong && `Storage, ${wrong.reason.replaceAll('-', ' ')}, since ${clock(wrong.since)}: ${wrong.error}`
    + (wrong.attempts ? ` Tried again ${count(wrong.attempts)} times.` : '')
    + (wrong['stuck-writes'] ? ` Writes that do not return: ${count(wrong['stuck-writes'])}.` : '')
    + (wrong['next-try'] ? ` Next try at ${clock(wrong['next-try'])}.` : ` It waits for 'distmigrate resume ${migration.id}'.`));
}

/** Those that run first, newest first as they come, then those that wait, the next one first. */
function byTurn(one, other) {
  const turn = migration => migration.phase === 'queued' ? migration['queue-position'] || Number.MAX_SAFE_INTEGER : 0;
  return turn(one) - turn(other);
}

function showOverview(overview) {
  const now = overview.time;
  document.title = `${overview.host} · DistMigrate`;
  say(byId('silo'), `silo of host ${overview.host}, version ${shortVersion(overview.version)}`);
  fillNotices(byId('notices'), noticesOf(overview.silent).concat(overview.hosts.filter(host => host.state === 'down').map(host => (
    { what: `Host ${host.host}`, text: `has been down since ${clock(host.since)}.${host['as-of'] ? ` What is shown of it is of ${clock(host['as-of'])}.` : ''}` }))));

  byId('unfinished-none').hidden = overview.unfinished.length > 0;
  fill(byId('unfinished'), [...overview.unfinished].sort(byTurn), migration => migration.id, makeMigration,
    (card, migration) => updateMigration(card, migration, now, migration.id === selection()));
  sayIf(byId('unfinished-more'), overview['left-out'] > 0 && `${count(overview['left-out'])} more are not shown; 'distmigrate list' has them all.`);

  const waiting = (at, place, entry) => ({
    key: `${at} ${place} ${entry.id}`,
    cells: [
      at, place, { text: String(entry.position), className: 'number' }, { text: age(entry.since, now), className: 'number' },
      { text: entry.guest, href: `#${encodeURIComponent(entry.id)}` }, entry.kind, { text: entry.id, className: 'keep' },
    ],
  });
  const queue = overview.queue.hosts.flatMap(host => [
    ...host.outgoing.queued.map(entry => waiting(host.host, 'outgoing', entry)), ...host.incoming.queued.map(entry => waiting(host.host, 'incoming', entry)),
  ]).concat(overview.queue.storages.flatMap(storage => storage.places.queued.map(entry => waiting(storage.storage, 'storage', entry))));
  byId('queue-none').hidden = queue.length > 0;
  byId('queue-wide').hidden = queue.length === 0;
  fillRows(byId('queue'), queue);

  const usage = places => ({ text: places ? `${places['in-use']}/${places.limit}` : '', className: 'number' });
  fillRows(byId('hosts'), overview.hosts.map(host => ({
    key: host.host,
    cells: [
      { text: host.host, className: 'keep' }, { text: host.state, pill: host.state === 'up' ? 'good' : 'bad' }, { text: age(host.since, now), className: 'number' },
      usage(host.outgoing), usage(host.incoming), { text: host.outgoing ? String(host.queued) : '', className: 'number' },
      { text: host['available-memory'] === undefined ? '' : size(host['available-memory']), className: 'number' },
      { text: host.storage.map(root => `${root.free === undefined ? 'not told' : size(root.free)} in ${root.path}`).join('\n'), className: 'path' },
      host.guests.join(', '), { text: host.version ? shortVersion(host.version) : '', className: 'version' },
    ],
  })));

  byId('ended-none').hidden = overview.ended.length > 0;
  byId('ended-wide').hidden = overview.ended.length === 0;
  fillRows(byId('ended'), overview.ended.map(migration => ({
    key: migration.id,
    cells: [
      { text: clock(migration['phase-since']), className: 'keep' }, { text: migration.guest, href: `#${encodeURIComponent(migration.id)}` }, migration.kind,
      way(migration), { text: migration.phase, pill: PHASE_CLASSES[migration.phase] || 'active' }, (migration.reason || '').replaceAll('-', ' '),
      { text: migration.image, className: 'path' },
    ],
  })));
}

// --- RAMBlocks ---

function swatch(state) {
  const svg = shape('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' });
  svg.append(shape('rect', { width: 12, height: 12, fill: `url(#pattern-${state})` }), shape('rect', { class: 'frame', x: 0.4, y: 0.4, width: 11.2, height: 11.2 }));
  return svg;
}

function fillLegend() {
  for (const state of STATES) {
    const item = element('li');
    const text = element('span');
    text.append(element('strong', '', state.text), document.createTextNode(` ${state.means}`));
    item.append(swatch(state.name), text);
    byId('legend').append(item);
  }
}

/** The pages of a cell or block by what is drawn of them. Zero pages are settled ones, most often durable, and are not counted twice. */
function statesOf(dirty, inFlight, written, durable, zero) {
  const durableZero = Math.min(zero, durable);
  return { dirty, 'in-flight': inFlight, written: written - (zero - durableZero), durable: durable - durableZero, zero };
}

/** A block with fewer cells than a whole row has takes less room. */
const isSmall = block => block['used-length'] / 4096 <= SMALL;

/** Each cell is a column of its states' shares; what is there at all is to be seen. */
function updateMap(svg, block) {
  const { map } = block;
  const pages = block['used-length'] / 4096;
  const cells = map.dirty.length;
  const columns = !isSmall(block) && byId('blocks').clientWidth >= 760 ? 64 : 32;
  const [wide, high] = [CELL.width + CELL.gap, CELL.height + CELL.gap];
  set(svg, { viewBox: `0 0 ${columns * wide - CELL.gap} ${Math.ceil(cells / columns) * high - CELL.gap}`, 'data-cells': cells });
  fill(svg, [...Array(cells).keys()], index => index, () => {
    const cell = shape('g', {});
    cell.append(shape('title', {}), ...STATES.map(state => shape('rect', { width: CELL.width, fill: `url(#pattern-${state.name})` })),
      shape('rect', { class: 'frame', width: CELL.width, height: CELL.height }));
    return cell;
  }, (cell, index) => {
    set(cell, { transform: `translate(${index % columns * wide} ${Math.floor(index / columns) * high})` });
    const states = statesOf(map.dirty[index], map['in-flight'][index], map.written[index], map.durable[index], map.zero[index]);
    const first = Math.floor(pages * index / cells);
    const end = Math.floor(pages * (index + 1) / cells);
    say(cell.firstChild, `pages ${count(first)} to ${count(end - 1)}: ` + STATES.filter(state => states[state.name] > 0)
      .map(state => `${count(states[state.name])} ${state.text}`).join(', '));
    const heights = STATES.map(state => states[state.name] > 0 ? Math.max(CELL.least, CELL.height * states[state.name] / (end - first)) : 0);
    const most = heights.indexOf(Math.max(...heights));
    heights[most] += CELL.height - heights.reduce((sum, height) => sum + height, 0);
    let bottom = CELL.height;
    STATES.forEach((state, place) => {
      bottom -= heights[place];
      set(cell.children[place + 1], { y: Math.round(bottom * 100) / 100, height: Math.round(heights[place] * 100) / 100, 'data-state': heights[place] > 0 ? state.name : null });
    });
    set(cell, { 'data-state': STATES[most].name });
  });
}

function makeBlock(block) {
  const made = element('article', 'block');
  const title = element('div', 'title');
  title.append(element('h3', '', block.ramblock), element('span', 'quiet'));
  made.append(title, element('p', 'shares'), element('p', 'error'), shape('svg', { role: 'img' }));
  return made;
}

function updateBlock(made, block) {
  const [title, shares, error, svg] = made.children;
  const states = statesOf(block['pages-dirty'], block['pages-in-flight'], block['pages-written'], block['pages-durable'], block['pages-zero']);
  const pages = block['used-length'] / 4096;
  const text = percentOf(states, pages);
  set(made, { 'data-ramblock': block.ramblock, class: isSmall(block) ? 'block small' : 'block' });
  say(title.lastChild, `${size(block['used-length'])} · ${block.activity} · ${count(pages)} ${pages === 1 ? 'page' : 'pages'}`);
  say(shares, text);
  sayIf(error, (block.error ? `${block.error} ` : '') + (block['pages-failed'] ? `${count(block['pages-failed'])} pages wait to be written again after a failure.` : ''));
  svg.toggleAttribute('hidden', !block.map);
  set(svg, { 'aria-label': `Page states along ${block.ramblock}: ${text}` });
  if (block.map) updateMap(svg, block);
}

function showDetail(detail, now) {
  const { migration } = detail;
  byId('detail').hidden = false;
  say(byId('detail-title'), `${migration.guest}: ${migration.ended || PHASE_CLASSES[migration.phase] === 'good' ? `${migration.kind}, ${migration.phase}` : 'RAMBlocks and pages'}`);
  fillNotices(byId('detail-notices'), noticesOf(detail.silent));
  fillFacts(byId('detail-facts'), migration.ended ? [['Outcome', migration.message, 'long'], ...factsOf(migration, now)] : []);
  fill(byId('detail-notes'), migration.notes, note => note, note => element('li', '', note), () => { });
  const hasMap = detail.blocks.some(block => block.map);
  byId('legend').hidden = !hasMap;
  sayIf(byId('detail-none'), detail.blocks.length === 0 ? 'Its RAMBlocks are not known, or not any longer.'
    : !hasMap && !migration.ended && migration.kind !== 'restore' ? 'Where its pages lie is not known now.' : '');
  fill(byId('blocks'), detail.blocks, block => block.ramblock, makeBlock, updateBlock);
  sayIf(byId('blocks-more'), detail['left-out'] > 0 && `${count(detail['left-out'])} smaller ones are not shown; 'distmigrate blocks ${migration.id}' has them all.`);
}

// --- Asking ---

let overview = null;
let lastGood = null;
let failingSince = null;
let timer = 0;
let asking = false;

/** The migration whose blocks are shown: that of the address, else the newest one that has begun. */
function selection() {
  if (location.hash.length > 1) return decodeURIComponent(location.hash.slice(1));
  const shown = overview ? overview.unfinished.find(migration => migration.phase !== 'queued') || overview.unfinished[0] : null;
  return shown ? shown.id : '';
}

async function get(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok && response.status !== 404) throw new Error(`it answered ${response.status}`);
  return response.ok ? await response.json() : null;
}

async function round() {
  overview = await get('api/overview');
  showOverview(overview);
  const id = selection();
  const isShown = [...overview.unfinished, ...overview.ended].some(migration => migration.id === id);
  const detail = isShown ? await get(`api/migrations/${encodeURIComponent(id)}`) : null;
  if (id !== selection()) return;
  byId('detail').hidden = !id;
  if (detail) {
    showDetail(detail, overview.time);
  } else if (id) {
    say(byId('detail-title'), id);
    for (const list of ['detail-notices', 'detail-facts', 'detail-notes', 'blocks']) fill(byId(list), [], item => item);
    byId('legend').hidden = true;
    sayIf(byId('blocks-more'), '');
    sayIf(byId('detail-none'), `It is not among the migrations shown here; 'distmigrate status ${id}' may know it.`);
  }
}

async function ask() {
  clearTimeout(timer);
  if (asking || document.hidden) return;
  asking = true;
  try {
    await round();
    lastGood = new Date();
    failingSince = null;
  } catch (error) {
    failingSince = failingSince || new Date();
    console.warn(`The silo does not answer: ${error.message}`);
  }
  asking = false;
  document.body.classList.toggle('stale', failingSince !== null);
  say(byId('freshness'), lastGood ? `as of ${clock(lastGood)}` : '');
  sayIf(byId('failing'), failingSince && `The silo has not answered since ${clock(failingSince)}.${lastGood ? ` What is shown is as of ${clock(lastGood)}.` : ''}`);
  timer = setTimeout(ask, EVERY);
}

fillLegend();
document.addEventListener('visibilitychange', ask);
addEventListener('hashchange', ask);
addEventListener('resize', ask);
ask();
