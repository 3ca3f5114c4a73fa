// Called at the end of scripts/test: reads vitest's JSON report, counts every other step as one test, prints
// "N passed, N failed" as the last line and exits 1 when anything failed.
import { existsSync, readFileSync } from "node:fs";

const STEPS = 6;
const [report = "", failedCount = "0", ...failedSteps] = process.argv.slice(2);

/** A run that wrote no report (it crashed) counts as one failure; its step has failed too. */
function readCounts() {
  if (!existsSync(report)) return { passed: 0, failed: 1, success: false };
  const json = JSON.parse(readFileSync(report, "utf8"));
  // A file that could not be loaded has no tests of its own to count.
  const broken = json.testResults.filter(
    (file) =>
      file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed"),
  );
  for (const file of broken) process.stderr.write(`could not run ${file.name}: ${file.message}\n`);
  return {
    passed: json.numPassedTests,
    failed: json.numFailedTests + broken.length,
    success: json.success,
  };
}

const tests = readCounts();
const otherFailures = failedSteps.filter((step) => step !== "tests");
const crashed = failedSteps.includes("tests") && tests.failed === 0 ? 1 : 0;
const failed = tests.failed + otherFailures.length + crashed;
const passed = tests.passed + (STEPS - 1 - otherFailures.length);
if (failedSteps.length > 0) process.stdout.write(`failed: ${failedSteps.join(", ")}\n`);
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && Number(failedCount) === 0 ? 0 : 1;
