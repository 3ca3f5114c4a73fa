// The rules of a subscription's mode, for its dispatcher.
import type { DispatchCore } from "./dispatch-core.ts";
import { ExclusiveMode } from "./exclusive-mode.ts";
import { KeyedMode } from "./keyed-mode.ts";
import type { ModeRules } from "./mode-rules.ts";
import { SharedMode } from "./shared-mode.ts";

export function modeOf<B>(core: DispatchCore<B>, partitionName: string): ModeRules<B> {
  switch (core.definition.mode) {
    case "shared":
      return new SharedMode(core);
    case "keyed":
      return new KeyedMode(core, false);
    case "fifo":
      return new KeyedMode(core, true);
    case "exclusive":
      return new ExclusiveMode(core, partitionName);
  }
}
