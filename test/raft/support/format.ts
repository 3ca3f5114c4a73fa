// Core output as text, one line per fact, for the golden dialogues.
import type { Membership } from "../../../src/raft/messages.ts";
import type { RaftStatus } from "../../../src/raft/raft.ts";
import type { RaftEvent } from "../../../src/raft/ready.ts";
import type { TestEntry, TestMessage, TestReady } from "./host.ts";

export function formatMembership(membership: Membership): string {
  const { voters, learners, outgoing } = membership;
  let text = `voters=${voters.join(",")}`;
  if (outgoing !== undefined) text += ` outgoing=${outgoing.join(",")}`;
  if (learners.length > 0) text += ` learners=${learners.join(",")}`;
  return text;
}

/** term/index and payload; a membership entry shows its configuration. */
export function formatEntry(entry: TestEntry): string {
  const { term, index, change, handle } = entry;
  const body = change === undefined ? handle : `<${formatMembership(change.membership)}>`;
  return `${term}/${index} ${body}`;
}

export function formatMessage(message: TestMessage): string {
  const head = `${message.from}->${message.to} ${message.kind} t${message.term}`;
  switch (message.kind) {
    case "vote-request": {
      const flags = `${message.pre ? " pre" : ""}${message.transfer ? " transfer" : ""}`;
      return `${head}${flags} last=${message.lastTerm}/${message.lastIndex}`;
    }
    case "vote-response": {
      const flags = `${message.pre ? " pre" : ""}${message.recovering ? " recovering" : ""}`;
      return `${head}${flags} ${message.granted ? "granted" : "refused"}`;
    }
    case "append-request": {
      const entries = message.entries.map(formatEntry).join(", ");
      const prev = `prev=${message.prevTerm}/${message.prevIndex}`;
      return `${head} ${prev} commit=${message.commitIndex}${message.flush ? " flush" : ""} [${entries}]`;
    }
    case "append-response": {
      if (message.ok) return `${head} match=${message.matchIndex} durable=${message.durableIndex}`;
      const hint = `hint=${message.hintTerm}/${message.hintIndex}`;
      return `${head} refused prev=${message.rejectedPrevIndex} ${hint}`;
    }
    case "heartbeat": {
      const round = message.readRound > 0 ? ` round=${message.readRound}` : "";
      const { fenceIncarnation, fenceIndex } = message;
      const fence = fenceIndex > 0 ? ` fence=${fenceIndex}@${fenceIncarnation}` : "";
      return `${head} commit=${message.commitIndex}${round}${fence}`;
    }
    case "heartbeat-response": {
      const round = message.readRound > 0 ? ` round=${message.readRound}` : "";
      const mark = message.recovering ? " recovering" : "";
      return `${head} match=${message.matchIndex} durable=${message.durableIndex}${round}${mark}`;
    }
    case "install-snapshot": {
      const { index, term, membership, logStartIndex } = message.snapshot;
      return `${head} image=${term}/${index} start=${logStartIndex} ${formatMembership(membership)}`;
    }
    default:
      return head;
  }
}

export function formatEvent(event: RaftEvent): string {
  switch (event.kind) {
    case "became-follower":
      return `became-follower t${event.term} leader=${event.leaderId} (${event.reason})`;
    case "became-candidate":
      return `became-candidate t${event.term}${event.pre ? " pre" : ""}`;
    case "became-leader":
      return `became-leader t${event.term} noop=${event.noopIndex}`;
    case "leader-ready":
      return `leader-ready t${event.term}`;
    case "leader-changed":
      return `leader-changed t${event.term} leader=${event.leaderId}`;
    case "truncated":
      return `truncated ${event.from}..${event.to} t${event.term}`;
    case "transfer-ended":
      return `transfer-ended to=${event.to} ${event.ok ? "ok" : "failed"}`;
    case "caught-up":
      return `caught-up t${event.term}`;
    default:
      return "?";
  }
}

/** Lines for what stands in a Ready, in the order in which the host acts on it. */
export function formatReady(id: number, ready: TestReady): string[] {
  const lines: string[] = [];
  const say = (text: string): number => lines.push(`${id}: ${text}`);
  for (const event of ready.events) say(formatEvent(event));
  if (ready.hardState !== undefined) {
    say(`hard-state term=${ready.hardState.term} vote=${ready.hardState.vote}`);
  }
  if (ready.snapshot !== undefined) {
    const { index, term, logStartIndex } = ready.snapshot;
    say(`install image=${term}/${index} start=${logStartIndex}`);
  }
  if (ready.truncateFrom !== undefined) say(`io ${ready.io} truncate from=${ready.truncateFrom}`);
  if (ready.append.length > 0) {
    say(`io ${ready.io} append [${ready.append.map(formatEntry).join(", ")}]`);
  }
  for (const message of ready.messages) lines.push(`send ${formatMessage(message)}`);
  for (const catchUp of ready.catchUps) {
    say(`catch-up to=${catchUp.to} prev=${catchUp.prevIndex} last=${catchUp.lastIndex}`);
  }
  for (const to of ready.snapshotsNeeded) say(`image-needed to=${to}`);
  for (const read of ready.reads) say(`read ${read.readId} index=${read.index}`);
  for (const readId of ready.readsFailed) say(`read ${readId} failed`);
  if (ready.flushRequested) say("flush-requested");
  return lines;
}

export function formatStatus(id: number, status: RaftStatus): string[] {
  const ready = status.isLeaderReady ? " ready" : "";
  const transfer = status.transferringTo > 0 ? ` transferring=${status.transferringTo}` : "";
  const lines = [
    `${id}: ${status.role}${ready}${transfer} t${status.term} leader=${status.leaderId}` +
      ` last=${status.lastIndex} written=${status.writtenIndex} flushed=${status.flushedIndex}` +
      ` commit=${status.commitIndex} durable=${status.durableCommitIndex}` +
      ` applied=${status.appliedIndex} ${formatMembership(status.membership)}`,
  ];
  for (const peer of status.progress) {
    const mark = peer.recovering ? " recovering" : "";
    const flags = `${peer.isLearner ? " learner" : ""}${peer.isRecentlyActive ? "" : " silent"}${mark}`;
    lines.push(
      `  ${peer.replicaId} ${peer.state} match=${peer.matchIndex} durable=${peer.durableIndex}` +
        ` next=${peer.nextIndex}${flags}`,
    );
  }
  return lines;
}
