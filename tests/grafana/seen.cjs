// What people see of panels: Grafana's own code applied to the answers of a Prometheus.
//
//     node seen.cjs DIRECTORY < request.json > seen.json
//
// DIRECTORY holds node_modules with @grafana/data. The request has `now` and `range` (milliseconds),
// `step` (seconds) and `panels`, each with `panel` (as in the dashboard's JSON), `variables` (values
// by name) and `answers` (for each target the `data` of the answer of Prometheus' HTTP API).
"use strict";

const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");

const load = createRequire(`${process.argv[2]}/`);
const request = JSON.parse(readFileSync(0, "utf8"));

// Times such as "2 hours ago" count from the moment that was asked for.
Date.now = () => request.now;
process.env.TZ = "UTC";
// The standard output is for the answer alone.
console.log = console.info = console.error;

// The package expects a browser.
const { JSDOM } = load("jsdom");
const dom = new JSDOM("", { url: "http://grafana.test/" });
globalThis.window = dom.window;
for (const name of ["document", "location", "Element", "HTMLElement", "Node", "DOMParser"]) {
  globalThis[name] ??= dom.window[name];
}

const grafana = load("@grafana/data");
const theme = grafana.createTheme({ colors: { mode: "dark" } });

// --- What Grafana registers when it starts -------------------------------------------------------

// Its application, which is no package, registers these options by these names.
const identity = (value) => value;
const STANDARD = {
  color: grafana.identityOverrideProcessor,
  decimals: grafana.numberOverrideProcessor,
  displayName: grafana.displayNameOverrideProcessor,
  links: grafana.dataLinksOverrideProcessor,
  mappings: grafana.valueMappingsOverrideProcessor,
  max: grafana.numberOverrideProcessor,
  min: grafana.numberOverrideProcessor,
  noValue: grafana.stringOverrideProcessor,
  thresholds: grafana.thresholdsOverrideProcessor,
  unit: grafana.unitOverrideProcessor,
};
// What panels register for themselves, by panel type and line of Grafana.
const CUSTOM = {
  table: ["align", "cellOptions", "filterable", "hidden", "hideFrom.viz", "inspect", "width"],
  "state-timeline": ["fillOpacity", "lineWidth"],
  stat: [],
  timeseries: ["fillOpacity", "lineStyle", "lineWidth", "thresholdsStyle"],
};

const item = (id, process, isCustom) => ({
  id: isCustom ? `custom.${id}` : id,
  path: id,
  name: id,
  isCustom,
  process,
  shouldApply: () => true,
  settings: {},
});

function registry(type) {
  const standard = Object.entries(STANDARD).map(([id, process]) => item(id, process, false));
  const custom = CUSTOM[type].map((id) => item(id, identity, true));
  return new grafana.FieldConfigOptionsRegistry(() => [...standard, ...custom]);
}

// The newest line loads a transformation when it is used, the others have it at once. One of them
// is listed under two names.
const loaded = ({ operator, defaultOptions }) =>
  Object.assign(async () => ({ operator, defaultOptions }), { operator, defaultOptions });
grafana.standardTransformersRegistry.setInit(() =>
  [...new Set(Object.values(grafana.standardTransformers))].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    transformation: loaded(transformation),
  })),
);

// --- Variables -----------------------------------------------------------------------------------

// All choices at once are a word of their own in addresses.
const ALL = { job: ".+", instance: ".+", account: ".+", portal: ".*", server: ".+" };
const asQuery = (name, value) =>
  `var-${name}=${encodeURIComponent(value === ALL[name] ? "$__all" : value)}`;

// The template service of Grafana's application, as far as the dashboards use it; what it does not
// know is an error here, where Grafana would leave it as it stands.
const replacer = (variables) => (text, scoped, format) =>
  text.replace(/\$\{([^}]+)\}/g, (_, inside) => {
    const [, field] = inside.match(/^__data\.fields\["([^"]+)"\]$/) ?? [];
    if (field !== undefined) {
      const { frame, rowIndex } = scoped.__dataContext.value;
      const value = grafana.getFieldDisplayValuesProxy({ frame, rowIndex })[field];
      if (value === undefined) {
        throw new Error(`a link names the field ${field}, which the frame does not have`);
      }
      return format === "uriencode" ? encodeURIComponent(value.toString()) : value.toString();
    }
    if (inside === "__url_time_range") {
      return `from=${request.range.from}&to=${request.range.to}`;
    }
    const [, name] = inside.match(/^(\w+):queryparam$/) ?? [];
    if (name !== undefined && name in variables) {
      return asQuery(name, variables[name]);
    }
    throw new Error(`nobody knows the variable ${inside}`);
  });

grafana.locationUtil.initialize?.({
  config: { appSubUrl: "", appUrl: "http://grafana.test/" },
  getVariablesUrlParams: () => ({}),
  getTimeRangeForUrl: () => request.range,
});

// --- Frames, as the data source for Prometheus makes them ----------------------------------------

const { FieldType } = grafana;

function legend({ legendFormat, expr }, labels) {
  if (legendFormat && legendFormat !== "__auto") {
    return legendFormat.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label) => labels[label] ?? "");
  }
  return Object.keys(labels).length ? "" : expr;
}

const number = (text) => (text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text));

function series(target, { metric, value, values }) {
  const points = values ?? [value];
  const { __name__: name, ...labels } = metric;
  const shown = legend(target, labels);
  return {
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, config: {}, values: points.map(([at]) => at * 1000) },
      {
        name: name ?? "Value",
        type: FieldType.number,
        labels,
        config: shown ? { displayNameFromDS: shown } : {},
        values: points.map(([, text]) => number(text)),
      },
    ],
    length: points.length,
  };
}

function table(target, result, several) {
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const at = result.map(({ value }) => value[0] * 1000);
  const text = (label) => result.map(({ metric }) => metric[label] ?? "");
  return {
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, config: {}, values: at },
      ...labels.map((name) => ({
        name,
        type: FieldType.string,
        config: { filterable: true },
        values: text(name),
      })),
      {
        name: several ? `Value #${target.refId}` : "Value",
        type: FieldType.number,
        config: {},
        values: result.map(({ value }) => number(value[1])),
      },
    ],
    length: result.length,
  };
}

// A query without a result gives a frame all the same. It has no fields, but in a table of several
// queries, where it has the columns of time and value and no label.
function frames({ panel, answers }) {
  const several = panel.targets.length > 1;
  return panel.targets.flatMap((target, index) => {
    const { result } = answers[index];
    if (target.format === "table" && (several || result.length)) {
      return [table(target, result, several)];
    }
    const found = result.map((one) => series(target, one));
    return found.length ? found : [{ refId: target.refId, fields: [], length: 0 }];
  });
}

// --- What is seen ---------------------------------------------------------------------------------

const PALETTE = ["green", "red", "dark-red", "yellow", "orange", "blue", "purple"];
const NAMES = new Map([
  ...PALETTE.map((name) => [theme.visualization.getColorByName(name).toLowerCase(), name]),
  // The color of plain text has no name of its own once it is worked out.
  ["text", ""],
  [theme.colors.text.primary, ""],
  ["#ccccdc", ""],
  ["#808080", "grey"],
]);

function color(display) {
  const found = display.color?.toLowerCase() ?? "";
  return NAMES.get(found) ?? NAMES.get(found.replace(/ff$/, "")) ?? found;
}

const words = (display) => grafana.formattedValueToString(display).trim();

function links(field, row) {
  const found = field.getLinks?.({ valueRowIndex: row }) ?? [];
  return found.map(({ title, href, target }) => ({ title, href, target: target ?? "" }));
}

function hidden({ custom }) {
  return Boolean(custom?.hidden || custom?.hideFrom?.viz);
}

function order(panel, columns, length) {
  const rows = [...Array(length).keys()];
  for (const { displayName, desc } of [...(panel.options.sortBy ?? [])].reverse()) {
    const { field } = columns.find(({ name }) => name === displayName) ?? {};
    if (field) {
      const compare = sorter(field);
      rows.sort((a, b) => compare(field.values[a], field.values[b]) * (desc ? -1 : 1));
    }
  }
  return rows;
}

function sorter(field) {
  return field.type === FieldType.number
    ? (a, b) => (a ?? -Infinity) - (b ?? -Infinity)
    : (a, b) => String(a).localeCompare(String(b));
}

function seenTable(panel, data) {
  const [frame] = data;
  if (!frame || !frame.length) {
    return { empty: panel.fieldConfig.defaults.noValue, columns: [], rows: [] };
  }
  if (data.length > 1) {
    throw new Error(`${panel.title}: ${data.length} tables, of which only the first is seen`);
  }
  const every = frame.fields.map((field) => ({
    field,
    name: grafana.getFieldDisplayName(field, frame, data),
  }));
  const columns = every.filter(({ field }) => !hidden(field.config));
  const cell = ({ field }, row) => {
    const display = field.display(field.values[row]);
    const colored = field.config.custom?.cellOptions?.type?.startsWith("color");
    return {
      text: words(display),
      color: colored ? color(display) : "",
      links: links(field, row),
    };
  };
  return {
    columns: columns.map(({ name }) => name),
    rows: order(panel, every, frame.length).map((row) => columns.map((one) => cell(one, row))),
  };
}

function seenStat(panel, data, replaceVariables) {
  const { reduceOptions } = panel.options;
  const { fieldConfig } = panel;
  const values = grafana.getFieldDisplayValues({
    data,
    fieldConfig,
    reduceOptions,
    replaceVariables,
    theme,
    timeZone: "utc",
  });
  return {
    values: values.map(({ display, getLinks }) => ({
      title: display.title ?? "",
      text: words(display),
      color: color(display),
      links: getLinks?.() ?? [],
    })),
  };
}

function seenTimeline(panel, data) {
  const bands = data.flatMap((frame) =>
    frame.fields
      .filter((field) => field.type === FieldType.number)
      .map((field) => ({
        name: grafana.getFieldDisplayName(field, frame, data),
        spans: spans(field, frame.fields[0].values),
      })),
  );
  return bands.length ? { bands } : { empty: panel.fieldConfig.defaults.noValue, bands };
}

function spans(field, times) {
  const found = [];
  field.values.forEach((value, index) => {
    const display = field.display(value);
    const last = found.at(-1);
    const seen = { text: words(display), color: color(display) };
    const next = last && times[index] - last.to <= request.step * 1000;
    if (next && last.text === seen.text && last.color === seen.color) {
      last.to = times[index];
    } else {
      found.push({ ...seen, from: times[index], to: times[index] });
    }
  });
  return found;
}

// Lines are drawn elsewhere: what is known here is what each is called, its last value as it is
// written, and its color where that does not come from a palette.
function seenGraph(panel, data) {
  const legend = data.flatMap((frame) =>
    frame.fields
      .filter((field) => field.type === FieldType.number)
      .map((field) => {
        const display = field.display(field.values.at(-1));
        const { mode, fixedColor } = field.config.color ?? {};
        return {
          name: grafana.getFieldDisplayName(field, frame, data),
          text: words(display),
          color: mode === "fixed" ? fixedColor : "",
        };
      }),
  );
  return legend.length ? { legend } : { empty: panel.fieldConfig.defaults.noValue, legend };
}

const SEEN = { timeseries: seenGraph, table: seenTable, stat: seenStat, "state-timeline": seenTimeline };

function transformed(panel, data) {
  const context = { interpolate: identity };
  return new Promise((resolve, reject) =>
    grafana
      .transformDataFrame(panel.transformations ?? [], data, context)
      .subscribe({ next: resolve, error: reject }),
  );
}

async function seen(one) {
  const { panel } = one;
  const replaceVariables = replacer(one.variables);
  const raw = frames(one).map((frame) => grafana.toDataFrame(frame));
  const data = grafana.applyFieldOverrides({
    data: await transformed(panel, raw),
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: registry(panel.type),
    replaceVariables,
    theme,
    timeZone: "utc",
  });
  return { title: panel.title, type: panel.type, ...SEEN[panel.type](panel, data, replaceVariables) };
}

Promise.all(request.panels.map(seen)).then(
  (found) => process.stdout.write(JSON.stringify(found)),
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
  },
);
