// Preloaded into the brokers of the positive control (node --import): every flush succeeds and does nothing, as on a disk
// that lies. The power cuts must then find loss; if they do not, they would not find it in an honest run either.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const lie = (_descriptor, callback) => {
  setImmediate(callback, null);
};
const lieNow = () => undefined;

fs.fsync = lie;
fs.fdatasync = lie;
fs.fsyncSync = lieNow;
fs.fdatasyncSync = lieNow;

const probe = await fs.promises.open(new URL(import.meta.url), "r");
const handles = Object.getPrototypeOf(probe);
await probe.close();
handles.sync = () => Promise.resolve();
handles.datasync = () => Promise.resolve();

syncBuiltinESMExports();
