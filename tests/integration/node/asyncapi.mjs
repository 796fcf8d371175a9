// Reads an AsyncAPI 3.0 document and writes what is wrong with it by AsyncAPI's own schema, one line each.
import { readFileSync } from "node:fs";
import specs from "@asyncapi/specs";
import Ajv from "ajv";
import formats from "ajv-formats";

const ajv = new Ajv.default({ strict: false, allErrors: true, validateSchema: false });
formats.default(ajv);
const validate = ajv.compile(specs.schemasWithoutId["3.0.0"]);
if (!validate(JSON.parse(readFileSync(0, "utf8")))) {
  for (const { instancePath, message } of validate.errors) {
    console.log(`${instancePath || "/"}: ${message}`);
  }
}
