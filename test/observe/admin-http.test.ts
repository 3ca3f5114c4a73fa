// The listener is the behaviour here, so these tests use a real socket on a free port.
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type AdminServer, startAdminServer } from "../../src/observe/admin-http.ts";
import { evaluateHealth, type HealthCheck } from "../../src/observe/health.ts";
import { type Logger, silentLogger } from "../../src/observe/logger.ts";

let server: AdminServer | undefined;
afterEach(() => server?.close());

interface Options {
  readonly checks?: readonly HealthCheck[];
  readonly render?: () => Promise<string>;
  readonly logger?: Logger;
}

async function start(options: Options = {}): Promise<string> {
  const sources = {
    metricsContentType: "text/plain; version=0.0.4; charset=utf-8",
    renderMetrics: options.render ?? (() => Promise.resolve("flotilla_build_info 1\n")),
    health: () => evaluateHealth(options.checks ?? []),
  };
  server = await startAdminServer(
    { host: "127.0.0.1", port: 0 },
    sources,
    options.logger ?? silentLogger,
  );
  return `http://127.0.0.1:${server.port}`;
}

const notReady: HealthCheck = {
  name: "leaders",
  aspects: ["ready"],
  check: () => "2 partitions have no leader",
};

describe("admin-http", () => {
  it("/metrics: gives the registry's text", async () => {
    const base = await start();
    const response = await fetch(`${base}/metrics`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toContain("version=0.0.4");
    expect(await response.text()).toBe("flotilla_build_info 1\n");
  });

  it("/metrics: overlapping scrapes share one rendering", async () => {
    let renders = 0;
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const render = async (): Promise<string> => {
      renders += 1;
      await gate;
      return "x 1\n";
    };
    const base = await start({ render });
    const first = fetch(`${base}/metrics`);
    const second = fetch(`${base}/metrics`);
    // A third answer on the same server shows that both scrapes have been read.
    await fetch(`${base}/health`);
    release();
    expect(await (await first).text()).toBe("x 1\n");
    expect(await (await second).text()).toBe("x 1\n");
    expect(renders).toBeLessThanOrEqual(2);
  });

  it("/health: 200 when live and ready, else 503 with reasons; ?verbose lists the checks", async () => {
    const good = await start();
    expect((await fetch(`${good}/health`)).status).toBe(200);
    await server?.close();
    const bad = await start({ checks: [notReady] });
    const response = await fetch(`${bad}/health?verbose`);
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({
      status: "failing",
      live: { ok: true, reasons: [], checks: [] },
      ready: {
        ok: false,
        reasons: ["leaders: 2 partitions have no leader"],
        checks: [{ name: "leaders", ok: false, reason: "2 partitions have no leader" }],
      },
      safeToStop: { ok: true, reasons: [], checks: [] },
      pressure: { ok: true, reasons: [], checks: [] },
    });
  });

  it.each([
    ["/health/live", 200],
    ["/health/ready", 503],
    ["/health/safe-to-stop", 200],
  ])("%s: answers for one aspect", async (path, status) => {
    const base = await start({ checks: [notReady] });
    expect((await fetch(base + path)).status).toBe(status);
  });

  it("other paths and methods: 404 naming the pages, 405 naming the methods", async () => {
    const base = await start();
    const missing = await fetch(`${base}/nothing`);
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({
      pages: expect.arrayContaining(["/metrics", "/health/ready"]) as string[],
    });
    const posted = await fetch(`${base}/metrics`, { method: "POST", body: "x".repeat(100_000) });
    expect(posted.status).toBe(405);
    expect(posted.headers.get("allow")).toBe("GET, HEAD");
  });

  it("failure: a render that rejects becomes 500 and a log line, not a dead server", async () => {
    const logged: string[] = [];
    const logger = {
      ...silentLogger,
      error: (_: object, message: string) => void logged.push(message),
    };
    const base = await start({ render: () => Promise.reject(new Error("boom")), logger });
    const response = await fetch(`${base}/metrics`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("boom");
    expect(logged).toEqual(["admin request failed"]);
    expect((await fetch(`${base}/health`)).status).toBe(200);
  });

  it("header size: beyond the limit the request is refused and the server lives on", async () => {
    const base = await start();
    const port = Number(new URL(base).port);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(port, "127.0.0.1");
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString();
      });
      socket.on("error", reject);
      socket.on("close", () => resolve(text));
      socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${"y".repeat(20_000)}\r\n\r\n`);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect((await fetch(`${base}/health`)).status).toBe(200);
  });

  it("address in use: start rejects", async () => {
    const base = await start();
    const port = Number(new URL(base).port);
    const sources = {
      metricsContentType: "",
      renderMetrics: () => Promise.resolve(""),
      health: () => evaluateHealth([]),
    };
    await expect(
      startAdminServer({ host: "127.0.0.1", port }, sources, silentLogger),
    ).rejects.toThrow(/EADDRINUSE/);
  });
});
