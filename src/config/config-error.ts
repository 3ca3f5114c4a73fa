// Everything that is wrong with a configuration, at once: people fix a file in one go.

export interface ConfigProblem {
  /** Where: "cluster.yaml:14:3", or the name of an environment variable. */
  readonly where: string;
  /** The key, e.g. "nodes[1].client"; empty for the file as a whole. */
  readonly key: string;
  /** What is wrong and what would be right. */
  readonly message: string;
}

/** Thrown by loadConfig and parseConfig; the command line exits with 78. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}

/** One line per problem: `cluster.yaml:14:3: storage.diskFreMin: unknown key, did you mean "diskFreeMin"?` */
export function formatProblem(problem: ConfigProblem): string {
  const key = problem.key === "" ? "" : `${problem.key}: `;
  return `${problem.where}: ${key}${problem.message}`;
}
