import type { Control } from "../control.ts";

export const noOwnTermEntry: Control = {
  name: "no-own-term-entry",
  breaks:
    "A new leader writes no entry of its own term and serves at once, before it knows what is committed.",
  expects: ["I32", "I30", "I26"],
  patch: [
    {
      file: "raft/leadership.ts",
      find: `appendControl(state);
  const { term } = state;
  state.out.events.push({ kind: "became-leader", term, noopIndex: leader.noopIndex });`,
      replace: `const { term } = state;
  state.out.events.push({ kind: "became-leader", term, noopIndex: leader.noopIndex });
  leader.isReady = true;
  state.out.events.push({ kind: "leader-ready", term });`,
    },
  ],
};
