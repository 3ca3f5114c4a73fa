// What people and clients write: cluster.yaml, topic names, topic settings.
import { ConfigError } from "../../../src/config/config-error.ts";
import { parseConfig } from "../../../src/config/parse-config.ts";
import { isBrokerError } from "../../../src/model/errors.ts";
import { checkTopicName, topicNameProblem } from "../../../src/model/topic-name.ts";
import { parseTopicSettings } from "../../../src/model/topic-settings.ts";
import { refusing, type Subject } from "../subject.ts";

const YAML = `cluster: test
insecure: false
nodes:
  - id: 1
    dataDir: d/1
    client: 127.0.0.1:7101
    peer: "[::1]:7201"
    admin: 127.0.0.1:7301
    advertised: { client: broker-1:9000 }
topics: { partitions: 6, acks: all }
raft: { tick: 50ms, heartbeat: 150ms, electionTimeout: 1s }
limits: { connections: 10, memory: { budget: 512MiB } }
logging: { level: info, file: log-%n }
`;
const ALIASES = `cluster: &a test\nnodes: [&b [*a, *a], [*b, *b], [*b, *b]]\n`;

const config: Subject = {
  name: "cluster-yaml",
  seeds: [Buffer.from(YAML), Buffer.from(ALIASES)],
  cost: 5,
  run(bytes) {
    const text = bytes.toString("utf8");
    refusing(
      (error) => error instanceof ConfigError,
      () =>
        parseConfig({
          text,
          fileName: "cluster.yaml",
          environment: { FLOTILLA_RAFT__TICK: text.slice(0, 20), FLOTILLA_INSECURE: "1" },
          resolvePath: (path) => `/${path}`,
        }),
    );
  },
};

const names: Subject = {
  name: "topic-name",
  seeds: ["orders", "shop/eu/orders", "a.b-c_d", "__own", "a//b", ".."].map((name) =>
    Buffer.from(name),
  ),
  run(bytes) {
    const text = bytes.toString("utf8");
    const problem = topicNameProblem(text);
    refusing(isBrokerError, () => {
      checkTopicName(text);
      if (problem !== undefined) throw new Error("a name with a problem was accepted");
    });
    refusing(isBrokerError, () => parseTopicSettings({ [text]: text, "segment.bytes": text }));
  },
};

export const textSubjects: readonly Subject[] = [config, names];
