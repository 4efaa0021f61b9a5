// Builds the dashboard into the package of the REST server (or into the folder named by the first argument).
// The same sources and lock file give the same bytes: names carry a hash of the content, nothing carries a date or a path.

import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(process.argv[2] ?? join(here, "../jobmanager/server/rest/static"));
const budgetBytes = 500_000; // of all assets, compressed

function hashOf(content) {
  return createHash("sha256").update(content).digest("hex").slice(0, 10);
}

async function bundle() {
  return build({
    absWorkingDir: here,
    entryPoints: { main: "src/main.tsx", styles: "src/styles.css" },
    outdir: "out", // a name for the relative paths only: nothing is written there
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    target: ["es2022", "chrome110", "firefox110", "safari16"],
    jsx: "automatic",
    jsxImportSource: "preact",
    minify: true,
    legalComments: "none",
    charset: "utf8",
    metafile: true,
    write: false,
    logLevel: "warning",
    define: { "process.env.NODE_ENV": '"production"' },
  });
}

function nameOf(outputs, prefix, extension) {
  const names = outputs.map((file) => file.name);
  const found = names.filter((name) => name.startsWith(`${prefix}-`) && name.endsWith(extension));
  if (found.length !== 1) throw new Error(`expected one ${prefix}*${extension}, found ${found}`);
  return found[0];
}

const result = await bundle();
const outputs = result.outputFiles.map((file) => ({
  name: file.path.split(/[\\/]/).pop(),
  content: Buffer.from(file.contents),
}));
const icon = await readFile(join(here, "src/icon.svg"));
outputs.push({ name: `icon-${hashOf(icon)}.svg`, content: icon });
outputs.sort((a, b) => (a.name < b.name ? -1 : 1));

const page = (await readFile(join(here, "src/index.html"), "utf8"))
  .replace("%SCRIPT%", `assets/${nameOf(outputs, "main", ".js")}`)
  .replace("%STYLES%", `assets/${nameOf(outputs, "styles", ".css")}`)
  .replace("%ICON%", `assets/${nameOf(outputs, "icon", ".svg")}`);

let compressed = 0;
const files = {};
for (const { name, content } of outputs) {
  const gzip = gzipSync(content, { level: 9 }).length;
  compressed += gzip;
  files[`assets/${name}`] = { bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") };
}
if (compressed > budgetBytes) throw new Error(`${compressed} bytes compressed, over the budget of ${budgetBytes}`);

await rm(join(target, "assets"), { recursive: true, force: true });
await mkdir(join(target, "assets"), { recursive: true });
for (const { name, content } of outputs) await writeFile(join(target, "assets", name), content);
await writeFile(join(target, "index.html"), page);
await writeFile(join(target, "manifest.json"), `${JSON.stringify({ files }, null, 1)}\n`);

const count = (await readdir(join(target, "assets"))).length;
console.log(`${count} assets, ${(compressed / 1000).toFixed(1)} kB compressed, in ${target}`);
