// What a dashboard of ours must be: Grafana's own types, with the options of each kind of panel that we use.
import type { Dashboard, FieldConfigSource, Panel, RowPanel } from '@grafana/schema';
import type { Options as Gauge } from '@grafana/schema/dist/esm/raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen';
import type { FieldConfig as HeatmapFields, Options as Heatmap } from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as TimelineFields, Options as Timeline } from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { FieldConfig as TableFields, Options as Table } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { FieldConfig as SeriesFields, Options as Series } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has the values of enumerations, and no members of them.
type Json<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends readonly (infer E)[] ? Json<E>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

type Partially<T> = T extends readonly unknown[] ? T : T extends object ? { [K in keyof T]?: Partially<T[K]> } : T;

type Kind<Type extends string, Options, Fields> = Omit<Json<Panel>, 'type' | 'options' | 'fieldConfig'> & {
  type: Type;
  options: Partially<Json<Options>>;
  fieldConfig: Omit<Json<FieldConfigSource>, 'defaults'> & {
    defaults: Omit<Json<FieldConfigSource['defaults']>, 'custom'> & { custom?: Partially<Json<Fields>> };
  };
};

type AnyPanel =
  | Kind<'gauge', Gauge, never>
  | Kind<'heatmap', Heatmap, HeatmapFields>
  | Kind<'stat', Stat, never>
  | Kind<'state-timeline', Timeline, TimelineFields>
  | Kind<'table', Table, TableFields>
  | Kind<'timeseries', Series, SeriesFields>
  | Json<RowPanel>;

// What the Prometheus data source adds to an annotation.
type Annotation = Json<NonNullable<NonNullable<Dashboard['annotations']>['list']>[number]> & {
  expr: string; step: string; titleFormat: string; textFormat: string; tagKeys: string; useValueForTime: boolean;
};

// No id of a database: a dashboard is known by its uid.
export type ProvisionedDashboard = Omit<Json<Dashboard>, 'panels' | 'id' | 'annotations'> & {
  id: null;
  panels: AnyPanel[];
  annotations: { list: Annotation[] };
};
