// What people and clients write: cluster.yaml, topic names, topic settings, filters, selections of topics.
import { ConfigError } from "../../../src/config/config-error.ts";
import { parseConfig } from "../../../src/config/parse-config.ts";
import { canonicalFilter, filterOf } from "../../../src/filter/canonical-filter.ts";
import { compileFilter } from "../../../src/filter/compile-filter.ts";
import { checkTopicSelection, compileTopicSelection } from "../../../src/filter/topic-selection.ts";
import { isBrokerError } from "../../../src/model/errors.ts";
import type { TopicSelection } from "../../../src/model/subscription.ts";
import { checkTopicName, topicNameProblem } from "../../../src/model/topic-name.ts";
import { parseTopicSettings } from "../../../src/model/topic-settings.ts";
import { messageView } from "../../filter/message-view.ts";
import { refusing, type Subject } from "../subject.ts";

const MESSAGE = messageView({ headers: { amount: "120", region: "eu", "content-type": "a_b" } });

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

const EXPRESSIONS = [
  "amount > 100 AND region IN ('eu', 'uk') OR NOT \"content-type\" LIKE 'a!_%' ESCAPE '!'",
  "$size BETWEEN 1 AND 2 * ($offset - 3) / 4 % 5 AND $key IS NOT NULL",
];

const filters: Subject = {
  name: "filter",
  seeds: [
    ...EXPRESSIONS.map((expression) => ({ kind: "sql", expression })),
    { kind: "tags", tags: ["a", "b"] },
    { kind: "topic", patterns: ["a.*.#"] },
    { kind: "headers", match: "any", headers: { a: "1", b: null } },
  ].map((filter) => Buffer.from(JSON.stringify(filter))),
  run(bytes) {
    const text = bytes.toString("utf8");
    for (const json of [text, JSON.stringify({ kind: "sql", expression: text })]) {
      refusing(isBrokerError, () => {
        const canonical = canonicalFilter(json);
        if (canonicalFilter(canonical) !== canonical) throw new Error("the canonical text is not");
        compileFilter(filterOf(canonical)).matches(MESSAGE);
      });
    }
  },
};

const selections: Subject = {
  name: "topic-selection",
  seeds: ["shop/*/orders", "#/a", "orders-[0-9]{4}", "(?i)(a|b)*\\.c+?", "a{2,30}[^\\pL]"].map(
    (text) => Buffer.from(text),
  ),
  cost: 2,
  run(bytes) {
    const text = bytes.toString("utf8");
    const forms: readonly TopicSelection[] = [
      { kind: "names", names: [text] },
      { kind: "patterns", patterns: [text] },
      { kind: "regex", regex: text },
    ];
    for (const form of forms) {
      refusing(isBrokerError, () => {
        const wants = compileTopicSelection(checkTopicSelection(form));
        wants("shop/eu/orders");
        wants("a".repeat(200));
      });
    }
  },
};

export const textSubjects: readonly Subject[] = [config, names, filters, selections];
