// Parses documents with AsyncAPI's own parser; prints one JSON object: for each file its errors (severity 0) and warnings.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const parser = new Parser();
const found = {};
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await parser.parse(readFileSync(file, "utf8"), { source: file });
  found[file] = {
    version: document ? document.version() : null,
    operations: document ? document.operations().all().map((each) => [each.id(), each.action()]) : [],
    diagnostics: diagnostics.map((each) => ({ severity: each.severity, path: each.path.join("/"), message: each.message })),
  };
}
console.log(JSON.stringify(found));
