import { FaultDisk } from "../../src/log/fault-disk.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { openRealDisk } from "../../src/log/real-disk.ts";
import { groupLogConformance } from "../conformance/group-log.ts";
import { temporaryDirectory } from "./temporary.ts";

groupLogConformance("memory disk", () => {
  return { disk: new MemoryDisk(), cleanUp: () => undefined };
});
groupLogConformance("fault disk without faults", () => {
  return { disk: new FaultDisk(new MemoryDisk()), cleanUp: () => undefined };
});
groupLogConformance("real disk", () => {
  const { path, remove } = temporaryDirectory();
  return { disk: openRealDisk(path), cleanUp: remove };
});
