// node check.mjs DASHBOARDS WORK: assigns each dashboard to Grafana's types, and what must not pass as well. Its packages are in WORK/node_modules.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [dashboards, work] = process.argv.slice(2).map((path) => resolve(path));
const ts = createRequire(join(work, 'package.json'))('typescript');
const sources = join(work, 'sources');
rmSync(sources, { recursive: true, force: true });
mkdirSync(sources);
copyFileSync(join(dirname(fileURLToPath(import.meta.url)), 'dashboard.ts'), join(sources, 'dashboard.ts'));

const names = readdirSync(dashboards).filter((name) => name.endsWith('.json'));
const cases = names.map((name) => ({ name, mustPass: true, json: JSON.parse(readFileSync(join(dashboards, name), 'utf8')) }));

// A check that lets everything pass would pass here as well.
const firstOf = (dashboard, type) => dashboard.panels.find((panel) => panel.type === type);
const mutations = {
  'a title that is a number': (dashboard) => { dashboard.title = 1; },
  'an unknown property of the dashboard': (dashboard) => { dashboard.titel = 'x'; },
  'a panel without a type': (dashboard) => { delete firstOf(dashboard, 'timeseries').type; },
  'a unit that is a number': (dashboard) => { firstOf(dashboard, 'timeseries').fieldConfig.defaults.unit = 1; },
  'an unknown way to draw': (dashboard) => { firstOf(dashboard, 'timeseries').fieldConfig.defaults.custom.drawStyle = 'dashes'; },
  'an unknown colour mode of a stat': (dashboard) => { firstOf(dashboard, 'stat').options.colorMode = 'all'; },
  'an unknown option of a heat map': (dashboard) => { firstOf(dashboard, 'heatmap').options.calculated = true; },
};
const fleet = cases.find((dashboard) => dashboard.json.uid === 'distmigrate-fleet');
for (const [name, mutate] of Object.entries(mutations)) {
  const json = structuredClone(fleet.json);
  mutate(json);
  cases.push({ name, mustPass: false, json });
}

cases.forEach((item, i) => {
  item.file = join(sources, `case${i}.ts`);
  writeFileSync(item.file, `import type { ProvisionedDashboard } from './dashboard';\nexport const dashboard: ProvisionedDashboard = ${JSON.stringify(item.json, null, 2)};\n`);
});
const program = ts.createProgram(cases.map((item) => item.file), {
  noEmit: true, strict: true, skipLibCheck: true, types: [],
  target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
});

const faults = new Map();
for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
  const file = diagnostic.file?.fileName ?? '';
  const line = diagnostic.file ? diagnostic.file.getLineAndCharacterOfPosition(diagnostic.start).line - 1 : 0;
  faults.set(file, [...(faults.get(file) ?? []), `line ${line + 1}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')}`]);
}

let failed = 0;
for (const { name, mustPass, file } of cases) {
  const found = faults.get(file) ?? [];
  faults.delete(file);
  if (mustPass === (found.length === 0)) continue;
  failed++;
  console.log(mustPass ? `${name}:\n${found.join('\n')}` : `${name} passes, and must not.`);
}
for (const [file, found] of faults) {
  failed++;
  console.log(`${basename(file)}:\n${found.join('\n')}`);
}
console.log(`${cases.length - Math.min(failed, cases.length)} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
