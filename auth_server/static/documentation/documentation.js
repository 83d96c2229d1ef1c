"use strict";

// Swagger UI follows the reader's wish for dark or light.
const dark = matchMedia("(prefers-color-scheme: dark)");
const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", dress);
dress();

// A field of a form starts with the document's example, else empty, and is not sent while it is empty; Swagger UI would
// write "string" into it.
const EmptyFields = () => ({
  components: { ParameterIncludeEmpty: () => null },
  afterLoad() {
    const sample = this.fn.getSampleSchema;
    this.fn.getSampleSchema = (schema, contentType, ...rest) => {
      const told = schema?.toJS?.() ?? schema ?? {};
      const isField = contentType === false && told.type !== "object" && told.type !== "array";
      const hasOwn = ["examples", "example", "default", "const", "enum"].some((name) => name in told);
      return isField && !hasOwn ? "" : sample(schema, contentType, ...rest);
    };
  },
});

SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#documentation",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  plugins: [EmptyFields],
  // Only what the dialog holds is sent; a 401 that asks for Basic is shown here, and not as the browser's own question.
  requestInterceptor: (request) => Object.assign(request, { credentials: "omit" }),
  validatorUrl: null,
});
