// Preloaded into the brokers of the power cuts (node --import): the kernel's boot id comes from the file that
// CHAOS_BOOT_ID_FILE names. A machine that lost its power has another boot id afterwards, and brokers rely on that: with
// the same one nothing can be missing from their files, and what is missing is damage.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const replacement = process.env.CHAOS_BOOT_ID_FILE;
const readFileSync = fs.readFileSync;

if (replacement !== undefined) {
  fs.readFileSync = (path, options) => readFileSync(path === BOOT_ID ? replacement : path, options);
  syncBuiltinESMExports();
}
