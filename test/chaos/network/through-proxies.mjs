// Preloaded into brokers (node --import), and into the test itself, where links are proxies: connections to another broker
// go to the proxy of that link, but for the proxies' own (`isDirect`). CHAOS_LINKS names a file: JSON, from "host:port" to the proxy's port on loopback.
import { readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";

const connect = net.Socket.prototype.connect;

function proxyOf(host, port) {
  const file = process.env.CHAOS_LINKS;
  if (file === undefined) return undefined;
  const links = JSON.parse(readFileSync(file, "utf8"));
  return links[`${host}:${port}`];
}

net.Socket.prototype.connect = function connectThroughProxy(...args) {
  // Inside of node the arguments come as one normalized list.
  const [first] = args;
  const options = Array.isArray(first) ? first[0] : first;
  if (
    typeof options === "object" &&
    options !== null &&
    options.port !== undefined &&
    !options.isDirect
  ) {
    const port = proxyOf(options.host ?? "127.0.0.1", options.port);
    if (port !== undefined) {
      options.host = "127.0.0.1";
      options.port = port;
    }
  }
  return connect.apply(this, args);
};
syncBuiltinESMExports();
