// Makes ../templates/page.js of src/: `make page`, or `node build.mjs`. With --check it writes nothing and fails where
// the file is not current. The first line of the file is the SHA-256 of what it was made of, which a test compares
// without node.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const bundle = join(here, "..", "templates", "page.js");

// Of each source, by name: its name, its length in bytes, its bytes
function hashOfSources() {
  const names = ["build.mjs", "package-lock.json", "package.json", "tsconfig.json"];
  for (const name of readdirSync(join(here, "src"), { recursive: true })) {
    if (/\.tsx?$/.test(name)) names.push(`src/${name.replaceAll("\\", "/")}`);
  }
  const hash = createHash("sha256");
  for (const name of names.sort()) {
    const content = readFileSync(join(here, name));
    hash.update(`${name} ${content.length}\n`).update(content);
  }
  return hash.digest("hex");
}

async function bundled() {
  const made = await build({
    entryPoints: [join(here, "src", "main.tsx")],
    absWorkingDir: here,
    bundle: true,
    charset: "utf8",
    format: "iife",
    legalComments: "none",
    minifySyntax: true,
    target: "es2022",
    write: false,
  });
  const script = made.outputFiles[0].text.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
  return `// Made by \`make page\` of analyze/report/app, with Preact (MIT): ${hashOfSources()}\n${script}`;
}

const text = await bundled();
if (!process.argv.includes("--check")) {
  writeFileSync(bundle, text);
} else if (readFileSync(bundle, "utf8") !== text) {
  console.error("analyze/report/templates/page.js is not current: make page");
  process.exit(1);
}
