// Shows /api/openapi.json. Builds elements and texts, never markup, so nothing of the document is run.
"use strict";

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Paragraphs, with `code` in them.
function prose(text) {
  return (text || "").split(/\n\n/).map((paragraph) => {
    const parts = paragraph.split("`");
    return element("p", {}, ...parts.map((part, n) => (n % 2 ? element("code", {}, part) : part)));
  });
}

function kindOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const either = schema.oneOf || schema.anyOf;
  if (either) return either.map(kindOf).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const kind = [].concat(schema.type || "any").join(" | ");
  if (schema.items) return `${kindOf(schema.items)}[]`;
  return schema.format && !/^(int|date)/.test(schema.format) ? `${kind} (${schema.format})` : kind;
}

function bounds(schema) {
  const said = [];
  if (schema.minimum !== undefined || schema.maximum !== undefined) said.push(`${schema.minimum ?? ""} to ${schema.maximum ?? ""}`);
  if (schema.minLength !== undefined || schema.maxLength !== undefined) said.push(`${schema.minLength ?? 0} to ${schema.maxLength ?? ""} characters`);
  if (schema.default !== undefined) said.push(`default ${JSON.stringify(schema.default)}`);
  return said.join("; ");
}

function row(name, schema, needed, text) {
  const first = element("td", {}, element("code", {}, name), needed ? " *" : "");
  const about = element("td", {}, ...prose(text), ...(bounds(schema) ? prose(bounds(schema)) : []));
  return element("tr", {}, first, element("td", {}, element("code", {}, kindOf(schema))), about);
}

function table(rows) {
  return element("table", {}, element("tbody", {}, ...rows));
}

function fieldsOf(schema) {
  const parts = schema.allOf || [schema];
  return parts.flatMap((part) => {
    const fields = Object.entries(part.properties || {});
    return fields.map(([name, field]) => row(name, field, (part.required || []).includes(name), field.description));
  });
}

function body(title, content) {
  const shown = Object.entries(content || {}).map(([media, { schema, example }]) =>
    element("div", {}, prose(`\`${media}\`: ${kindOf(schema)}`)[0], element("pre", { tabindex: "0" }, JSON.stringify(example, null, 2))));
  return shown.length ? [element("h3", {}, title), ...shown] : [];
}

function curl(method, path, operation) {
  const lines = [`curl -X ${method.toUpperCase()} "$TASKWIRE${path}"`];
  if (operation.security?.some((scheme) => scheme.bearer)) lines.push(`  -H "Authorization: Bearer $TOKEN"`);
  const example = operation.requestBody?.content?.["application/json"]?.example;
  if (example !== undefined) {
    lines.push(`  -H "Content-Type: application/json"`, `  -d '${JSON.stringify(example).replaceAll("'", "'\\''")}'`);
  }
  return element("pre", { tabindex: "0" }, lines.join(" \\\n"));
}

function operationSection(path, method, operation) {
  const parameters = (operation.parameters || []).map((one) => row(`${one.name}`, one.schema || {}, one.required, `${one.description || ""} (${one.in})`));
  const answers = Object.entries(operation.responses).map(([status, answer]) => {
    const headers = Object.entries(answer.headers || {}).map(([name, header]) => `\`${name}\`: ${header.description || ""}`);
    return element("details", {}, element("summary", {}, element("code", {}, status), ` ${answer.description}`), ...headers.flatMap(prose), ...body("Body", answer.content));
  });
  return element("section", { id: operation.operationId },
    element("h2", {}, operation.summary),
    element("p", { class: "route" }, element("b", {}, method.toUpperCase()), element("code", {}, path)),
    ...prose(operation.description),
    ...(parameters.length ? [element("h3", {}, "Parameters"), table(parameters)] : []),
    ...body("Request", operation.requestBody?.content),
    element("h3", {}, "Call"), curl(method, path, operation),
    element("h3", {}, "Answers"), ...answers);
}

function show(api) {
  const main = document.getElementById("document");
  const contents = document.getElementById("contents");
  main.replaceChildren(element("h1", {}, `${api.info.title} API`), element("p", {}, `Version ${api.info.version} · `, element("a", { href: "/api/openapi.json" }, "openapi.json")), ...prose(api.info.description));
  const byTag = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = operation.tags?.[0] || "Other";
      byTag.set(tag, [...(byTag.get(tag) || []), [path, method, operation]]);
    }
  }
  for (const [tag, operations] of byTag) {
    contents.append(element("h2", {}, tag), ...operations.map(([, , one]) => element("a", { href: `#${one.operationId}` }, one.summary)));
    main.append(...operations.map((one) => operationSection(...one)));
  }
  contents.append(element("h2", {}, "Types"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    contents.append(element("a", { href: `#type-${name}` }, name));
    const fields = fieldsOf(schema);
    main.append(element("section", { id: `type-${name}` }, element("h2", {}, name), ...prose(schema.description), fields.length ? table(fields) : element("code", {}, kindOf(schema))));
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

fetch("/api/openapi.json")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`HTTP ${answer.status}`))))
  .then(show)
  .catch((error) => document.getElementById("document").replaceChildren(element("p", {}, `The description cannot be shown: ${error.message}`)));
