// Called at the end of scripts/test: reads vitest's JSON reports, counts every other step as one test, prints
// "N passed, N failed" as the last line and exits 1 when anything failed.
// Usage: node count-tests.mjs FOLDER [FAILED-STEP …], FOLDER with PROJECT.json for each of PROJECTS.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const PROJECTS = ["unit", "integration"];
const OTHER_STEPS = ["build", "check", "simulation", "controls", "chaos"];
const [folder = "", ...failedSteps] = process.argv.slice(2);

function readCounts(project) {
  const report = join(folder, `${project}.json`);
  // A run that wrote no report crashed.
  if (!existsSync(report)) return { passed: 0, failed: 1 };
  const json = JSON.parse(readFileSync(report, "utf8"));
  // A file that could not be loaded has no tests of its own to count.
  const broken = json.testResults.filter(
    (file) =>
      file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed"),
  );
  for (const file of broken) process.stderr.write(`could not run ${file.name}: ${file.message}\n`);
  const failed = json.numFailedTests + broken.length;
  // Something else was wrong, for example an error that no test caught.
  const isUnexplained = failed === 0 && (!json.success || failedSteps.includes(project));
  return { passed: json.numPassedTests, failed: isUnexplained ? 1 : failed };
}

const counts = PROJECTS.map(readCounts);
for (const step of OTHER_STEPS) {
  const isFailed = failedSteps.includes(step);
  counts.push({ passed: isFailed ? 0 : 1, failed: isFailed ? 1 : 0 });
}
const passed = counts.reduce((sum, count) => sum + count.passed, 0);
const failed = counts.reduce((sum, count) => sum + count.failed, 0);
if (failedSteps.length > 0) process.stdout.write(`failed: ${failedSteps.join(", ")}\n`);
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && failedSteps.length === 0 ? 0 : 1;
