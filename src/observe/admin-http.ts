// The admin listener: metrics and health over plain HTTP, read-only. It shares the event loop with the data path, so
// everything about it is bounded: header size, time per request, connections, one scrape at a time.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type AspectHealth,
  HEALTH_ASPECTS,
  type HealthAspect,
  type HealthReport,
} from "./health.ts";
import type { Logger } from "./logger.ts";

const HEADER_BYTES_MAX = 8 * 1024;
const CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 5000;
const KEEP_ALIVE_MS = 5000;
const REQUESTS_PER_CONNECTION_MAX = 1000;

export interface AdminSources {
  readonly metricsContentType: string;
  renderMetrics(): Promise<string>;
  health(): HealthReport;
}

export interface AdminServer {
  /** The port that was bound (useful when 0 was asked for). */
  readonly port: number;
  /** Stops listening and ends every connection. Idempotent. */
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Listens; rejects when the address cannot be bound. */
export async function startAdminServer(
  address: { readonly host: string; readonly port: number },
  sources: AdminSources,
  logger: Logger,
): Promise<AdminServer> {
  const router = new Router(sources);
  const server = createServer({
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 1000,
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    router.answer(request).then(
      (answer) => send(response, request, answer),
      (error: unknown) => {
        logger.error({ error, path: request.url }, "admin request failed");
        send(
          response,
          request,
          json(500, { error: "internal error; the broker's log has the details" }),
        );
      },
    );
  });
  await listen(server, address);
  server.on("error", (error) => logger.error({ error }, "admin listener failed"));
  const bound = server.address() as AddressInfo;
  return { port: bound.port, close: () => close(server) };
}

/** Paths to answers; knows nothing of sockets. */
class Router {
  readonly #sources: AdminSources;
  #scrape: Promise<string> | undefined;

  constructor(sources: AdminSources) {
    this.#sources = sources;
  }

  async answer(request: Pick<IncomingMessage, "method" | "url">): Promise<Answer> {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return json(405, { error: "only GET is allowed" });
    }
    const [path = "/", query = ""] = (request.url ?? "/").split("?", 2);
    const verbose = query
      .split("&")
      .some((part) => part === "verbose" || part.startsWith("verbose="));
    if (path === "/metrics") {
      return { status: 200, type: this.#sources.metricsContentType, body: await this.#metrics() };
    }
    if (path === "/health") return this.#overview(verbose);
    const aspect = HEALTH_ASPECTS.find((name) => path === `/health/${name}`);
    if (aspect !== undefined) return this.#aspect(aspect, verbose);
    return json(404, { error: "no such page", pages: PAGES });
  }

  /** Scrapes that overlap share one rendering. */
  #metrics(): Promise<string> {
    this.#scrape ??= this.#sources.renderMetrics().finally(() => {
      this.#scrape = undefined;
    });
    return this.#scrape;
  }

  /** Fine means live and ready; whether it is safe to stop is a question of its own. */
  #overview(verbose: boolean): Answer {
    const report = this.#sources.health();
    const ok = report.live.ok && report.ready.ok;
    const body = {
      status: ok ? "ok" : "failing",
      live: shown(report.live, verbose),
      ready: shown(report.ready, verbose),
      safeToStop: shown(report["safe-to-stop"], verbose),
      pressure: shown(report.pressure, verbose),
    };
    return json(ok ? 200 : 503, body);
  }

  #aspect(aspect: HealthAspect, verbose: boolean): Answer {
    const health = this.#sources.health()[aspect];
    return json(health.ok ? 200 : 503, {
      status: health.ok ? "ok" : "failing",
      ...shown(health, verbose),
    });
  }
}

const PAGES = ["/metrics", "/health", ...HEALTH_ASPECTS.map((aspect) => `/health/${aspect}`)];

function shown(health: AspectHealth, verbose: boolean): object {
  return { ok: health.ok, reasons: health.reasons, ...(verbose ? { checks: health.checks } : {}) };
}

function json(status: number, body: object): Answer {
  return { status, type: "application/json; charset=utf-8", body: `${JSON.stringify(body)}\n` };
}

function send(response: ServerResponse, request: IncomingMessage, answer: Answer): void {
  if (response.destroyed || response.headersSent) return;
  const hasBody =
    request.headers["content-length"] !== undefined ||
    request.headers["transfer-encoding"] !== undefined;
  response.writeHead(answer.status, {
    "content-type": answer.type,
    "content-length": Buffer.byteLength(answer.body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(answer.status === 405 ? { allow: "GET, HEAD" } : {}),
    // Nobody reads a body here; the connection it came on cannot be used again.
    ...(hasBody ? { connection: "close" } : {}),
  });
  response.end(request.method === "HEAD" ? undefined : answer.body);
}

function listen(
  server: Server,
  address: { readonly host: string; readonly port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: address.host, port: address.port, backlog: CONNECTIONS_MAX }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
