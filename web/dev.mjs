// Serves the dashboard from its sources and passes everything else on to a running JobManager:
//   npm run dev -- 127.0.0.1:8081
// A change of a source is there after the page is loaded again.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const [host, port] = (process.argv[2] ?? "127.0.0.1:8081").split(":");
const listen = Number(process.argv[3] ?? 5173);
const built = await mkdtemp(join(tmpdir(), "lesto-dashboard-"));
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

async function file(path, response) {
  if (path === "/index.html") await promisify(execFile)("node", [join(here, "build.mjs"), built]);
  const content = await readFile(join(built, normalize(path)));
  response.writeHead(200, { "Content-Type": types[extname(path)] ?? "text/plain", "Content-Security-Policy": policy });
  response.end(content);
}

function pass(incoming, response) {
  const headers = { ...incoming.headers, host: `${host}:${port}` };
  delete headers.origin;
  const outgoing = request({ host, port, path: incoming.url, method: incoming.method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  outgoing.on("error", (error) => response.writeHead(502).end(String(error)));
  incoming.pipe(outgoing);
}

const server = createServer((incoming, response) => {
  const { pathname } = new URL(incoming.url ?? "/", "http://localhost");
  const path = pathname === "/" ? "/index.html" : pathname;
  if (path === "/index.html" || path.startsWith("/assets/")) {
    file(path, response).catch((error) => response.writeHead(500).end(String(error.stderr ?? error)));
  } else pass(incoming, response);
});
server.listen(listen, "127.0.0.1", () => console.log(`http://127.0.0.1:${listen}/ over ${host}:${port}`));
process.on("SIGINT", () => {
  void rm(built, { recursive: true, force: true }).then(() => process.exit(0));
});
